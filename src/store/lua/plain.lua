-- plain: leases from the usual queue, as far as nothing asks for more thought.
-- Uses   rotation counts grant

-- The usual queue: one group, one lane, nothing returned, nothing stale, nothing large. For a single task it may have more groups: their
-- turns are what is to be moved then. Nil for any other; else, as `several`, ids, records, mutable parts, and how to take them.
local function plain(names, bytes_max)
  local turn = #names == 0 and want > 0 and want <= 256 and queue.shut == 0 and call('ZRANGE', TURN, '0', '1', 'WITHSCORES')
  local alone = turn and #turn == 2
  if not alone and (want ~= 1 or not turn or #turn == 0) then return nil end
  local heads = call('ZRANGE', heads_of(turn[1]), '0', '1')
  if #heads ~= 1 then return nil end
  local lane = heads[1] .. '/' .. turn[1]
  if call('EXISTS', ROOT .. 'back:' .. lane) == 1 then return nil end
  local priority, name = string.match(heads[1], '^(%d+)/(.*)$')
  local most = want
  local passed = queue.limited > 0 and { 'q', 'n' .. name, 'g' .. turn[1] } or NONE
  meet_gates(passed)
  for _, scope in ipairs(passed) do most = min(most, gate_of(scope).left) end
  if most < 1 then return nil end
  local fresh = call('LRANGE', ROOT .. 'fresh:' .. lane, '0', numeral(most))
  local ids, count = {}, min(most, #fresh)
  if count == 0 then return nil end
  for i = 1, count do ids[i] = sub(fresh[i], 8) end
  local records, bytes = call('HMGET', REC, unpack(ids)), 0
  local muts = call('EXISTS', MUT) == 1 and call('HMGET', MUT, unpack(ids)) or {}
  for i = 1, count do
    local rec = records[i]
    if not rec or muts[i] or byte(rec, 9) >= 32 then return nil end
    bytes = bytes + #rec
  end
  if bytes > bytes_max then return nil end
  tally(name, turn[1], count)
  for _, scope in ipairs(passed) do pass_gate(gate_of(scope), count) end
  local after, pass, stride = fresh[count + 1], tonumber(turn[2]), stride_of(turn[1])
  if not after then call('ZCARD', names_of(name)) end
  return ids, records, muts, function()
    call('LTRIM', ROOT .. 'fresh:' .. lane, numeral(count), '-1')
    -- Nobody is there to take turns with, and heads are lower bounds: both may stay while the lane has entries. Who joins
    -- finds a group that has just had its turn.
    queue.round = alone and pass - stride or max(pass, queue.round)
    if not alone and after then call('ZADD', TURN, 'XX', format('%d', queue.round + stride), turn[1]) end
    if not after then
      call('DEL', heads_of(turn[1]))
      call('ZREM', names_of(name), priority .. '/' .. turn[1])
      call('ZREM', TURN, turn[1])
    end
  end
end
