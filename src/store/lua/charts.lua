-- charts: rows with the activity of a queue, one per step, newest last.
--
--   row  number 4 | accepted, completed, failed, died 4 each | ready, leased 4 each |
--          percentiles of wait, run, end to end 6
-- Uses   latency

local ROW_MAX = 2 ^ 32 - 1

-- Returns the number of a row or a window, its first four bytes: steps since 1970. 0 for none.
local function number_of(bytes) return bytes and unpack_bytes('>I4', bytes) or 0 end

-- If the clock was set back, the last step lasts until it is over.
local function current_step(step_ms, last) return max(floor(NOW / step_ms), number_of(last)) end

local function depth_of(ready, leased) return pack('>I4I4', min(ready, ROW_MAX), min(leased, ROW_MAX)) end

local function has_depth(row, depth) return sub(row, 21, 28) == depth end

-- Adds the percentiles to the row of a step that is over.
local function with_percentiles(row, kinds) return sub(row, 1, 28) .. percentiles(kinds) end

local function row_of(last, number, growth, depth)
  local counts, rest = { 0, 0, 0, 0 }, string.rep(string.char(NO_BUCKET), 6)
  if last and number_of(last) == number then counts, rest = { unpack_bytes('>I4I4I4I4', last, 5) }, sub(last, 29) end
  for i = 1, 4 do counts[i] = min(counts[i] + growth[i], ROW_MAX) end
  return pack('>I4I4I4I4I4', number, counts[1], counts[2], counts[3], counts[4]) .. depth .. rest
end

-- Writes the row of the current step to the chart. It replaces `last` if that belongs to the same step.
-- `closed` is the final form of `last` if its step is over.
local function append_row(key, last, closed, row, rows_max, keep_ms)
  if closed then call('LSET', key, -1, closed) end
  if number_of(last) == number_of(row) then return call('LSET', key, -1, row) end
  call('RPUSH', key, row)
  call('LTRIM', key, -rows_max, -1)
  call('PEXPIRE', key, keep_ms)
end
