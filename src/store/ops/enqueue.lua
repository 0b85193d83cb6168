-- enqueue: accepts tasks, in order.
--
-- ARGV   1 config version by which the tasks were resolved  2 replica
--        3 "1" if an earlier try may have been applied  4 "1" to accept all or none
--        5 epoch of the names that the sender remembers
--        6 #names that it does not remember  names...
--        #guards  if any: for how many ms and how many marks of repeats are kept, then per guard: id,
--          unique key or '', ms that the key is taken or 0, return | reject | replace,
--          request (16) [.. index (2)] or '', digest of its body
--        #runs of tasks with equal settings, then per run: priority, name, group,
--          when ('' now | '+' ms | '@' ms), expiry ('' never | '+' ms | '@' ms),
--          #tasks, then per task: id, record without its tick
--        per payload above 2 KiB: id, payload  last: number of these payloads
-- Reply  "accepted", now, how many are ready, epoch of the names,
--          then per task: run_at or 0 if it was created, otherwise one of
--          {"made" (by an earlier request) | "duplicate" | "replaced", id, state, run_at or 0,
--            "1" if by an earlier request}
--          {"rejected", id, state of the task that holds the key} | {"mismatch"} | {"paused", until or 0}
--          {"full", tasks | bytes | names | dead (if the config says so)}; with all or none: nothing written
--          state: r ready, s scheduled, l leased, d dead, c completed, x cancelled, g gone
--        "config", version, document when the config has changed since (nothing written)
--        "absent" when the queue does not exist
-- Moves  -> ready | scheduled
-- Keeps  I1 I2 I3 I4 I5 I15 I16 I17 I23 I28
-- Uses   paused intake naming rotation lanes task expiry marks deaths guard

if not read_queue() then return { 'absent' } end
if queue.version ~= tonumber(ARGV[1]) then return { 'config', queue.version, call('HGET', Q, 'doc') } end

-- A first try may linger in some buffer and arrive after its repeat. So for a while after a repeat, every id
-- is checked.
local me, repeated = ARGV[2], ARGV[3] == '1'
local doubtful = repeated or NOW - queue.retried_at < MARKS_MS

-- Repeats get their first outcome, and duplicates create nothing: only new tasks are refused.
local closed = is_paused(PAUSE_ENQUEUE) and { 'paused', queue.paused_until } or refuses_for_dead() and FULL_OF_DEAD

local bounded = measure_room()
local last_big = #ARGV - 1
local first_big = last_big + 1 - 2 * tonumber(ARGV[#ARGV])
local payloads = NONE
if first_big < last_big then
  payloads = {}
  for from = first_big, last_big, 2 do payloads[ARGV[from]] = ARGV[from + 1] end
end

local tick = latest_tick()

local reply, replied, records, r, due, skipped = { 'accepted', NOW, 0, 0 }, 4, {}, 0, NONE, NONE
local lanes, accepted, ready, weight = {}, 0, 0, 0
local all_or_none = ARGV[4] == '1'
local at = read_guards(read_names(5))
local runs = tonumber(ARGV[at])
at = at + 1
for _ = 1, runs do
  local priority, name, group, tasks = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 5])
  local run_at, expires_at = moment(ARGV[at + 3]) or 0, moment(ARGV[at + 4])
  local member = priority .. '/' .. name
  local key = member .. '/' .. group
  at = at + 6
  if run_at <= NOW then run_at = 0 end

  local unnameable, before = refuses_name(name), accepted
  local lane = lanes[key]
  if not lane and run_at == 0 and not expires_at then lane = fresh_lane(lanes, key, member, priority, name, group) end
  local fresh = lane and lane.fresh
  for from = at, at + 2 * (tasks - 1), 2 do
    local id, body = ARGV[from], ARGV[from + 1]
    local outcome, guard = doubtful and accepted_before(id), guards[id]
    if guard and not outcome then
      lane = lane or fresh_lane(lanes, key, member, priority, name, group)
      outcome = guarded_outcome(guard, body, lane, expires_at, #(payloads[id] or ''))
    end
    local bytes = 0
    if not outcome then
      if run_at > 0 or expires_at then body = timed(body, run_at, expires_at) end
      bytes = 7 + #body + #(payloads[id] or '')
      local why = closed or unnameable or bounded and no_room(bytes)
      if why then outcome = refuse(why) end
    end
    if outcome then
      if skipped == NONE then skipped = {} end
      skipped[id] = true
    else
      tick, accepted, weight, outcome = tick + 1, accepted + 1, weight + bytes, run_at
      local stamp = pack('>I7', tick)
      records[r + 1], records[r + 2] = id, stamp .. body
      if run_at == 0 then ready = ready + 1 end
      if run_at == 0 and not expires_at then
        lane.lowest = lane.lowest or tick
        fresh[#fresh + 1] = stamp .. id
      else
        if run_at > 0 then
          if due == NONE then due = {} end
          due[#due + 1] = run_at
          due[#due + 1] = id
        else
          -- A task that may expire must be removable from its lane, and a list has no cheap removal from the
          -- middle.
          arrive(tonumber(priority), name, group, tick, stamp .. id)
        end
        may_expire(id, expires_at)
      end
      r = r + 2
      if guard then note_made(guard, run_at, r, lane, expires_at, records[r], bytes) end
    end
    replied = replied + 1
    reply[replied] = outcome
  end
  at = at + 2 * tasks
  if accepted > before then note_name(name, run_at) end
end
if (all_or_none and refused > 0) or (accepted == 0 and not has_guarded_writes()) then return reply end
reply[3] = ready
plan_guarded(records)

local big = NONE
for from = first_big, last_big, 2 do
  local id = ARGV[from]
  local whose = payload_goes_to[id] or (not skipped[id] and not payload_dropped[id] and id)
  if whose then
    if big == NONE then big = {} end
    big[#big + 1] = whose
    big[#big + 1] = ARGV[from + 1]
  end
end
if #big > 0 then call('HLEN', PAY) end
if #due > 0 then call('ZCARD', DUE) end
check_expiry()
check_arrivals()
local entering = {}
for key, l in pairs(lanes) do
  -- A lane with fresh entries is already in the rotation: appending moves no head.
  if l.lowest and call('LLEN', ROOT .. 'fresh:' .. key) == 0 then entering[#entering + 1] = l end
end
check_entries(entering)

many('HSET', REC, records)
many('HSET', PAY, big)
many('ZADD', DUE, due)
write_expiry()
for key, l in pairs(lanes) do many('RPUSH', ROOT .. 'fresh:' .. key, l.fresh) end
enter_rotation(entering)
apply_arrivals()
write_guarded()
queue.tick, queue.accepted_total, queue.ready = tick, queue.accepted_total + accepted, queue.ready + ready
queue.unfinished_bytes = queue.unfinished_bytes + weight + grown
write_names()
reply[4] = queue.names_epoch
if repeated then queue.retried_at = NOW end
wake(me, ready)
write_queue()
return reply
