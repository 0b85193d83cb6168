-- reorder: puts the heads of some groups in the current order; called until the cursor is 0 again.
--
-- ARGV   1 cursor ('0' to begin)  2 about how many groups at a time
-- Reply  "reordered", cursor
--        "absent" when the queue does not exist
-- Keeps  I17 I28: looks at about LANES_MAX lanes per call, however many lanes a group has
-- Uses   rotation lanes
-- Flags  allow-oom

local LANES_MAX = 1000

if not read_queue() then return { 'absent' } end

-- Inside a group the cursor has three parts: that of the groups, that of the group's heads, and the group.
local scan, inner, amidst = string.match(ARGV[1], '^(%d+) (%d+) (.*)$')
local page = call('ZSCAN', TURN, scan or ARGV[1], 'COUNT', ARGV[2])
local first = 1
for i = 1, #page[2], 2 do
  if page[2][i] == amidst then first = i end
end
if page[2][first] ~= amidst then inner = '0' end -- The group has left: repeat the batch.

local updates, looked, next_cursor = {}, 0, page[1]
for i = first, #page[2], 2 do
  local group = page[2][i]
  repeat
    if looked >= LANES_MAX then
      next_cursor = format('%s %s ', scan or ARGV[1], inner) .. group
      break
    end
    local lanes = call('ZSCAN', heads_of(group), inner, 'COUNT', LANES_MAX / 2)
    local heads = {}
    for at = 1, #lanes[2], 2 do
      local member = lanes[2][at]
      -- Parked lanes have no place among the heads.
      local place = lanes[2][at + 1] ~= 'inf' and head_place(member .. '/' .. group)
      if place then
        heads[#heads + 1] = order_score(tonumber(string.match(member, '^%d+')), place)
        heads[#heads + 1] = member
      end
    end
    updates[#updates + 1] = { group, heads }
    looked, inner = looked + #lanes[2] / 2, lanes[1]
  until inner == '0'
  if next_cursor ~= page[1] then break end
end

for _, update in ipairs(updates) do many('ZADD', heads_of(update[1]), update[2]) end
return { 'reordered', next_cursor }
