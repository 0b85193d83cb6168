-- reorder: puts the heads of some groups in the order that now holds; called until the cursor is 0 again.
--
-- ARGV   1 cursor ('0' to begin)  2 how many groups at a time, about
-- Reply  "reordered", cursor
--        "absent" when the queue does not exist
-- Keeps  I17
-- Uses   rotation lanes

local state = call('HMGET', Q, 'version', 'order', 'aging_ms')
if not state[1] then return { 'absent' } end
use_order(state[2], state[3])

local page = call('ZSCAN', TURN, ARGV[1], 'COUNT', ARGV[2])
local updates = {}
for i = 1, #page[2], 2 do
  local group = page[2][i]
  local heads = {}
  for _, member in ipairs(call('ZRANGE', heads_of(group), 0, 999)) do
    local place = head_place(member .. '/' .. group)
    if place then
      heads[#heads + 1] = order_score(tonumber(string.match(member, '^%d+')), place)
      heads[#heads + 1] = member
    end
  end
  updates[#updates + 1] = { group, heads }
end

for _, update in ipairs(updates) do many('ZADD', heads_of(update[1]), update[2]) end
return { 'reordered', page[1] }
