-- groups: lists the groups of a queue with ready or leased tasks, a weight, limits or a hold, page by page.
--
-- ARGV   1 how many at most  2 cursor or ''
-- Reply  "grouped", cursor of the next page or '', then per group as a list:
--          group ('' for tasks without one, first), ready, "1" when there may be more ready ones,
--          leased or '' when unknown, weight, rate per second, burst, max_leased (each 0 for none),
--          tokens or '', end of the hold or 0
--        "absent" when the queue does not exist
-- Order  none. Looks at LOOK_MAX entries at most, lanes included: a page may be short or empty though a
--          cursor is there.
-- Keeps  I24 I28
-- Uses   standing
-- Flags  no-writes

if not read_queue() then return { 'absent' } end
local limit, cursor = tonumber(ARGV[1]), ARGV[2]
local rows = { 'grouped', '' }

-- Returns the number of entries that it looked at.
local function show(group, leased)
  local ready, at_least, looked = count_ready(heads_of(group), function(member) return member .. '/' .. group end)
  local weights = call('HMGET', GATES, 'w' .. group, 'w*')
  local weight = weights[1] or weights[2]
  local row = { group, ready, at_least, leased or call('HGET', COUNTS, 'g' .. group) or 0,
    weight and format('%.17g', (unpack_bytes('<d', weight, 9))) or '1' }
  add_gate(row, gate_of('g' .. group))
  rows[#rows + 1] = row
  return looked
end

-- Returns the number of leased tasks without a group: all leased tasks less those of the groups. '' if that
-- is too expensive.
local function ungrouped()
  if call('HLEN', COUNTS) > LOOK_MAX then return '' end
  local left, counts = call('ZCARD', LEASED), call('HGETALL', COUNTS)
  for i = 1, #counts, 2 do
    if byte(counts[i]) == GROUP_SCOPE then left = left - counts[i + 1] end
  end
  return max(left, 0)
end

local looked = 0
if cursor == '' then
  local leased = ungrouped()
  if call('EXISTS', heads_of('')) == 1 or gate_of('g').held > NOW or (leased ~= 0 and call('ZCARD', LEASED) > 0) then
    looked = show('', leased)
    limit = limit - 1
  end
end

local INDEXES = {
  { key = TURN, prefix = '', ranked = true, except = '' },
  { key = COUNTS, prefix = 'g', except = '' },
  { key = GATES, prefix = 'w', except = '*' },
  { key = GATES, prefix = 'g', except = '*' },
  { key = GATE, prefix = 'g', accepts = is_hold, except = '' },
}
rows[2] = walk(INDEXES, limit, cursor, looked, show)
return rows
