-- verify_index: checks that each member on a page of an index has what it refers to.
--
-- ARGV   1 index: a hash or sorted set of tasks by its role, 'turn', 'heads' or 'names'
--        2 group or name, for the last two  3 cursor  4 about how many at most
-- Reply  "verified", cursor of the next page or '', members looked at, problems, then groups for 'turn',
--          members for 'heads'
--        "absent" when the queue does not exist
-- Keeps  I4 I18 by reporting violations
-- Uses   examine
-- Flags  no-writes

if not read_queue() then return { 'absent' } end
local index, of, cursor, limit = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local sets = { due = DUE, leased = LEASED, dead = DEAD, expiry = EXPIRY, linger = LINGER, turn = TURN, heads = heads_of(of), names = names_of(of) }
local hashes = { mut = MUT, hist = HIST, pay = PAY, res = RES, letter = LETTER }

local page = hashes[index] and call('HSCAN', hashes[index], cursor, 'COUNT', limit) or call('ZSCAN', sets[index], cursor, 'COUNT', limit)
local members = {}
for i = 1, #page[2], 2 do members[#members + 1] = page[2][i] end

local function is_empty(lane)
  return call('EXISTS', ROOT .. 'fresh:' .. lane) == 0 and call('EXISTS', ROOT .. 'back:' .. lane) == 0
end

local reply = { 'verified', page[1] == '0' and '' or page[1], #members, problems }
if index == 'turn' then
  for _, group in ipairs(members) do
    if call('EXISTS', heads_of(group)) == 0 then problem('empty_lane', '', 'group %s has a turn and no lane', group) end
    reply[#reply + 1] = group
  end
elseif index == 'heads' then
  for _, member in ipairs(members) do
    if is_empty(member .. '/' .. of) then problem('empty_lane', '', 'lane %s/%s has a head and no tasks', member, of) end
    reply[#reply + 1] = member
  end
elseif index == 'names' then
  for _, member in ipairs(members) do
    local priority, group = string.match(member, '^(%d+)/(.*)$')
    local lane = format('%s/%s/%s', priority or '?', of, group or '?')
    if is_empty(lane) then problem('empty_lane', '', 'lane %s is listed by its name and has no tasks', lane) end
  end
else
  local orphans = {}
  for _, id in ipairs(members) do
    if call('HEXISTS', REC, id) == 0 then orphans[#orphans + 1] = id end
    if #orphans == 900 then break end
  end
  if #orphans > 0 then examine(orphans, {}) end
end
return reply
