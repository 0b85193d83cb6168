-- examine: checks a task at one moment (I1 I2 I4 I12 I14), and its lane if it is ready (I17 I18). Reads only.
-- A violation becomes a problem: kind, id or '', and a text for a person.
-- Uses   rotation task lanes history expiry deaths

local problems = {} -- per call

local function problem(kind, id, detail, ...) problems[#problems + 1] = { kind, id, format(detail, ...) } end

-- Returns, for each id, the state indexes that contain it, as words. Fresh lists are left out: they cannot be
-- searched.
local function states_of(ids)
  local indexes, states = { scheduled = DUE, leased = LEASED, dead = DEAD }, {}
  local finished = call('EXISTS', RES) == 1
  for i = 1, #ids do states[i] = finished and call('HEXISTS', RES, ids[i]) == 1 and { 'finished' } or {} end
  for state, key in pairs(indexes) do
    local scores = call('ZMSCORE', key, unpack(ids))
    for i = 1, #ids do
      if scores[i] then states[i][#states[i] + 1] = state end
    end
  end
  return states
end

-- Checks that a ready task can be found: by the head of its lane, by its name, and by the turn of its group.
local function examine_lane(l)
  local head, pass = call('ZSCORE', heads_of(l.group), l.member), call('ZSCORE', TURN, l.group)
  local listed = call('ZSCORE', names_of(l.name), format('%d/%s', l.priority, l.group))
  local function wrong(detail) problem('lane', l.id, 'lane %s %s', l.lane, detail) end
  if not head then
    wrong('is not among the heads of its group')
  elseif head ~= 'inf' and tonumber(head) > order_score(l.priority, l.lowest) then
    wrong('has a head that is behind this task')
  elseif head == 'inf' and not call('ZSCORE', SHUT, 'n' .. l.name) then
    wrong('is parked, and its name is never looked at again')
  end
  if not pass then wrong('is in a group that has no turn') end
  if not listed then
    wrong('is not among the lanes of its name')
  elseif pass and tonumber(listed) % PARKED > tonumber(pass) % PARKED then
    wrong('is behind its group among the lanes of its name')
  elseif head and (head == 'inf') ~= (tonumber(listed) < 0) then
    wrong('is parked in only one of its two indexes')
  end
  if pass and tonumber(pass) >= PARKED and head and head ~= 'inf' and not call('ZSCORE', SHUT, 'g' .. l.group) then
    wrong('is in a group that is parked and is never looked at again')
  end
end

-- Checks that the parts of a task in other hashes agree with its record. `any` tells which of these hashes
-- exist.
local function examine_parts(id, task, m, any)
  local apart = any.payloads and call('HEXISTS', PAY, id) == 1
  if has(task.flags, BIG) and not apart then problem('payload', id, 'its payload is gone') end
  if apart and not has(task.flags, BIG) then problem('payload', id, 'it has a separate payload that its record does not mention') end
  local history, failed = any.histories and call('HGET', HIST, id), m and m.failed or 0
  local latest = history and unpack_bytes('>I2', last_attempt(history)) or 0
  if latest ~= failed then problem('history', id, 'it failed %d times, and attempt %d is the latest kept', failed, latest) end
end

-- Checks a task against what dead letters count and list of it.
local function examine_letter(id, is_dead)
  local letter = call('HGET', LETTER, id)
  if is_dead ~= not not letter then
    return problem('dead_letter', id, is_dead and 'it is dead and is not counted as a dead letter' or 'it is counted as a dead letter and is not dead')
  end
  if not letter then return end
  local bytes, print, size = unpack_bytes('>I4', letter), sub(letter, 5), 0
  for _, key in ipairs({ REC, PAY, MUT, HIST }) do size = size + call('HSTRLEN', key, id) end
  if bytes ~= size then problem('dead_letter', id, 'it has %d bytes, %d are counted', size, bytes) end
  if not call('ZSCORE', ALIKE, alike_member(print, call('ZSCORE', DEAD, id), id)) then
    problem('dead_letter', id, 'its group %s does not list it', print)
  end
  if print ~= OTHER and call('HEXISTS', PRINT, print) == 0 then
    problem('dead_letter', id, 'its group %s has no description', print)
  end
end

-- Examines tasks. Returns, by lane, the tasks that can only be in a fresh list, so that the caller can read
-- that list.
local function examine(ids, records)
  local claims, touched = {}, {}
  local any = { payloads = call('EXISTS', PAY) == 1, histories = call('EXISTS', HIST) == 1, letters = call('EXISTS', LETTER) == 1 }
  local states, muts = states_of(ids), call('HMGET', MUT, unpack(ids))
  for i, id in ipairs(ids) do
    local known, state, task, m = true, states[i], nil, nil
    if records[i] then
      known, task = pcall(read_record, records[i])
      if known and muts[i] then known, m = pcall(read_mut, muts[i]) end
    end
    if not known then
      problem('unreadable', id, 'its record or its mutable part cannot be read')
    elseif not task then
      if call('ZSCORE', EXPIRY, id) then state[#state + 1] = 'expiry' end
      for word, key in pairs({ mutable = MUT, history = HIST, payload = PAY, letter = LETTER }) do
        if call('HEXISTS', key, id) == 1 then state[#state + 1] = word end
      end
      if #state > 0 then problem('no_record', id, 'there is no record, but: %s', table.concat(state, ', ')) end
    else
      local priority = m and m.priority or task.priority
      local member = format('%d/%s', priority, task.name)
      local lane = member .. '/' .. task.group
      local place = call('ZSCORE', ROOT .. 'back:' .. lane, entry_of(task.tick, id))
      if place then state[#state + 1] = 'ready' end
      -- A lease that finds a task past its expiry drops its entry: the task is in no lane and awaits burial.
      local awaits_burial = #state == 0 and has_expired(task) and call('ZSCORE', EXPIRY, id)
      if #state > 1 then
        problem('two_states', id, 'it is in several states at once: %s', table.concat(state, ', '))
      elseif #state == 0 and m and not awaits_burial then
        problem('lost', id, 'it has a record and is in no state index')
      end
      if #state == 0 and not m and not awaits_burial then
        claims[lane] = claims[lane] or {}
        claims[lane][#claims[lane] + 1] = id
        place = task.tick
      end
      if place then
        local l = touched[lane]
        place = tonumber(place)
        if not l or place < l.lowest then
          touched[lane] = { id = id, lane = lane, member = member, name = task.name, group = task.group, priority = priority, lowest = place }
        end
      end
      examine_parts(id, task, m, any)
      if any.letters or state[1] == 'dead' then examine_letter(id, state[1] == 'dead') end
    end
  end
  for _, l in pairs(touched) do examine_lane(l) end
  return claims
end
