-- names: lists the names of a queue, page by page: names whose tasks came lately or are leased, and names
-- with settings of their own, a breaker that is not closed, or a hold.
--
-- ARGV   1 how many at most  2 cursor or ''
-- Reply  "named", cursor of the next page or '', then per name as a list:
--          name, ready, "1" when there may be more ready ones, leased,
--          rate per second, burst, max_leased (each 0 for none), tokens or '', end of the hold or 0,
--          breaker (c closed, o open, h half-open, '' none), since when or 0,
--          failures in a row or successes of a half-open one, probes under way, open until or 0
--        "absent" when the queue does not exist
-- Order  none. Looks at LOOK_MAX entries at most, lanes included: a page may be short or empty though a
--          cursor is there.
-- Keeps  I24 I28
-- Uses   standing
-- Flags  no-writes

if not read_queue() then return { 'absent' } end

local LETTERS = { [CLOSED] = 'c', [OPEN] = 'o', [HALF_OPEN] = 'h' }
local rows = { 'named', '' }

-- Returns the number of entries that it looked at.
local function show(name)
  local gate, leased = gate_of('n' .. name), call('HGET', COUNTS, 'n' .. name)
  local ready, at_least, looked = count_ready(names_of(name), function(member)
    local priority, group = string.match(member, '^(%d+)/(.*)$')
    return format('%s/%s/%s', priority, name, group)
  end)
  local row = { name, ready, at_least, leased or 0 }
  add_gate(row, gate)
  local b, n = gate.breaker or breaker_of(name, { 0, 0, 0, 0 }), #row
  row[n + 1] = (b.threshold > 0 or b.state ~= CLOSED) and LETTERS[b.state] or ''
  row[n + 2], row[n + 3], row[n + 4] = b.since, b.count, b.probes
  row[n + 5] = b.state == OPEN and b.at < FAR and b.at or 0
  rows[#rows + 1] = row
  return looked
end

local INDEXES = {
  { key = NAMED, prefix = '', ranked = true },
  { key = COUNTS, prefix = 'n' },
  { key = GATES, prefix = 'n', except = '*' },
  { key = BREAKER, prefix = '', accepts = function(value) return unpack_bytes('<d', value) ~= CLOSED end },
  { key = GATE, prefix = 'n', accepts = is_hold },
}
rows[2] = walk(INDEXES, tonumber(ARGV[1]), ARGV[2], 0, show)
return rows
