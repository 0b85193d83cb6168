-- plain: the short ways of a lease, for usual queues. They give up (nil) if the queue is not usual.
-- Uses   draw counts grant

-- Returns records and mutable parts of fresh tasks. Returns nil if an entry is stale, a task has one of the
-- rare flags, or they have too many bytes.
local function fresh_records(ids, bytes_max)
  local records, bytes = call('HMGET', REC, unpack(ids)), 0
  local muts = call('EXISTS', MUT) == 1 and call('HMGET', MUT, unpack(ids)) or {}
  for i = 1, #ids do
    local rec = records[i]
    if not rec or muts[i] or byte(rec, FLAGS_AT) >= BIG then return nil end
    bytes = bytes + #rec
  end
  if bytes > bytes_max then return nil end
  return records, muts
end

-- Leases from the usual queue: one group, one lane, nothing returned, nothing stale, nothing large. With
-- `want == 1` there may be several groups (then the turn must advance) and several lanes (if this lane's head
-- beats every lower bound). Returns ids, records, mutable parts and a function that takes the tasks, as
-- `several`; nil for any other queue.
local function plain(names, bytes_max)
  local turn = #names == 0 and want > 0 and want <= 256 and queue.shut == 0 and call('ZRANGE', TURN, '0', '1', 'WITHSCORES')
  local alone = turn and #turn == 2
  if not alone and (want ~= 1 or not turn or #turn == 0) then return nil end
  local heads_at = heads_of(turn[1])
  local heads = call('ZRANGE', heads_at, '0', '1')
  local rival = heads[2]
  if #heads == 0 or (rival and want ~= 1) then return nil end
  local lane = heads[1] .. '/' .. turn[1]
  if call('EXISTS', ROOT .. 'back:' .. lane) == 1 then return nil end
  local priority, name = parts_of(heads[1])
  local most = want
  local passed = queue.limited > 0 and { 'q', 'n' .. name, 'g' .. turn[1] } or NONE
  read_gates(passed)
  for _, scope in ipairs(passed) do most = min(most, gate_of(scope).left) end
  if most < 1 then return nil end
  local fresh = call('LRANGE', ROOT .. 'fresh:' .. lane, '0', numeral(most))
  local ids, count = {}, min(most, #fresh)
  if count == 0 then return nil end
  -- Heads are lower bounds: a rival's task cannot be better than its head.
  if rival and order_score(priority, unpack_bytes('>I7', fresh[1])) >= tonumber(call('ZSCORE', heads_at, rival)) then return nil end
  for i = 1, count do ids[i] = sub(fresh[i], 8) end
  local records, muts = fresh_records(ids, bytes_max)
  if not records then return nil end
  tally(name, turn[1], count)
  for _, scope in ipairs(passed) do pass_gate(gate_of(scope), count) end
  local after, pass, stride = fresh[count + 1], tonumber(turn[2]), stride_of(turn[1])
  if not after then call('ZCARD', names_of(name)) end
  return ids, records, muts, function()
    take_first(ROOT .. 'fresh:' .. lane, count)
    -- A group that is alone needs no turn, and heads are lower bounds: both may stay while the lane has
    -- entries. A group that joins finds one that has just had its turn.
    queue.round = alone and pass - stride or max(pass, queue.round)
    if not alone and (after or rival) then call('ZADD', TURN, 'XX', format('%d', queue.round + stride), turn[1]) end
    if not after then
      if rival then call('ZREM', heads_at, heads[1]) else call('DEL', heads_at) end
      call('ZREM', names_of(name), priority .. '/' .. turn[1])
      if not rival then call('ZREM', TURN, turn[1]) end
    elseif rival then
      call('ZADD', heads_at, order_score(priority, unpack_bytes('>I7', after)), heads[1])
    end
  end
end

-- Leases one task from each group in turn, the usual case with many tenants. There must be as many groups as
-- tasks wanted, one lane in each, no gate, and no group whose second turn comes before another group's first.
-- Returns the same as plain().
local function one_of_each(names, bytes_max)
  if #names > 0 or want < 2 or want > 256 or gated() then return nil end
  local groups = call('ZRANGE', TURN, '0', numeral(want - 1))
  if #groups < want then return nil end
  -- Redis is slow at writing scores. Usually the first and the last are the same, and no other score is read.
  local ends, scores = call('ZMSCORE', TURN, groups[1], groups[want]), NONE
  if ends[1] ~= ends[2] then scores = call('ZMSCORE', TURN, unpack(groups)) end
  local passes, members, lanes, keys, ids, behind = {}, {}, {}, {}, {}, {}
  read_strides(groups)
  local score = ends[2]
  local pass = max(tonumber(score), queue.round)
  local last, stride = pass, queue.weighted ~= 1 and queue.stride
  local heads_at, fresh_at, back_at = ROOT .. 'heads:', ROOT .. 'fresh:', ROOT .. 'back:'
  for i, group in ipairs(groups) do
    -- Most groups that had their turn in the same round have the same pass.
    local its = scores[i]
    if its and its ~= score then
      score = its
      pass = max(tonumber(score), queue.round)
    end
    passes[i] = pass + (stride or stride_of(group))
    if passes[i] < last then return nil end
    local heads = call('ZRANGE', heads_at .. group, '0', '1')
    local member = heads[1]
    if #heads ~= 1 then return nil end
    members[i], lanes[i], keys[i] = member, fresh_at .. member .. '/' .. group, back_at .. member .. '/' .. group
  end
  if call('EXISTS', unpack(keys)) > 0 then return nil end
  for i, lane in ipairs(lanes) do
    local fresh = call('LRANGE', lane, '0', '1')
    if #fresh == 0 then return nil end
    ids[i], behind[i] = sub(fresh[1], 8), fresh[2]
  end
  local records, muts = fresh_records(ids, bytes_max)
  if not records then return nil end
  local looked, before, name, alike = {}, nil, nil, 0
  for i, member in ipairs(members) do
    if member ~= before then
      if alike > 0 then tally(name, '', alike) end
      before, alike = member, 0
      name = select(2, parts_of(member))
    end
    alike = alike + 1
    tally(nil, groups[i], 1)
    if not behind[i] and not looked[name] then
      looked[name] = true
      call('ZCARD', names_of(name))
    end
  end
  tally(name, '', alike)
  return ids, records, muts, function()
    local moved, gone, gone_keys, gone_lanes = {}, {}, {}, {}
    local m, last_pass, text = 0, nil, nil
    for i, group in ipairs(groups) do
      if behind[i] then
        call('LPOP', lanes[i])
        if passes[i] ~= last_pass then
          last_pass = passes[i]
          text = format('%d', last_pass)
        end
        moved[m + 1], moved[m + 2] = text, group
        m = m + 2
      else
        local priority, its_name = parts_of(members[i])
        gone[#gone + 1] = group
        gone_keys[#gone_keys + 1] = lanes[i]
        gone_keys[#gone_keys + 1] = heads_of(group)
        gather(gone_lanes, its_name, priority .. '/' .. group)
      end
    end
    queue.round = last
    many('ZADD', TURN, moved, 'XX')
    many('ZREM', TURN, gone)
    if #gone_keys > 0 then call('DEL', unpack(gone_keys)) end
    for of_name, of in pairs(gone_lanes) do many('ZREM', names_of(of_name), of) end
  end
end
