-- standing: the state of a name or a group in lists: its ready tasks and its gate.
-- Uses   gates walk

-- Most lanes that are counted for one item.
local READY_LANES_MAX = 128

-- Returns the number of ready tasks in the lanes that `key` has, 1 if there may be more, and how many entries
-- it looked at. Stale entries do not count.
local function count_ready(key, lane_of)
  local members, ready = call('ZRANGE', key, 0, READY_LANES_MAX), 0
  local are_stale = #members > 0 and call('EXISTS', STALE) == 1
  for i = 1, min(#members, READY_LANES_MAX) do
    local lane = lane_of(members[i])
    ready = ready + call('LLEN', ROOT .. 'fresh:' .. lane) + call('ZCARD', ROOT .. 'back:' .. lane)
    if are_stale then ready = ready - (tonumber(call('HGET', STALE, lane) or nil) or 0) end
  end
  return max(ready, 0), #members > READY_LANES_MAX and 1 or 0, #members
end

local function is_hold(value) return unpack_bytes('<d', value, 33) > NOW end

-- Appends to `row`: rate per second, burst, max_leased, each 0 for none; tokens or '', end of the hold (ms)
-- or 0.
local function add_gate(row, gate)
  local n = #row
  row[n + 1], row[n + 2], row[n + 3] = format('%.17g', gate.rate), format('%.17g', gate.burst), gate.max_leased
  row[n + 4] = gate.rate > 0 and format('%.17g', max(gate.tokens, 0)) or ''
  row[n + 5] = gate.held > NOW and gate.held or 0
end
