-- replay: turns dead letters into new tasks with fresh attempts. Each leaves the dead letters in the same
-- step.
--
-- ARGV   1 replica  2 "1" if an earlier try may have been applied  3 payload above 2 KiB for all, or ''
--        4 #items  then per item: id of the dead letter, id of the new task, priority, name, group,
--          when ('' now | '+' ms | '@' ms), record without its tick
-- Reply  "replayed", now, how many are ready, then per item {"moved", run_at or 0}
--          | {"gone"}: it is no dead letter any more, because it was replayed or purged
--          | {"taken", id of the task that holds its unique key} | {"full", tasks, bytes or names}: it stays
--          a dead letter
--        "absent" when the queue does not exist
-- Moves  dead -> (gone); -> ready | scheduled
-- Keeps  I1 I2 I3 I4 I5 I14 I15 I16. A second call finds that the letter has left, so nothing is replayed
--          twice.
-- Uses   intake naming unique lanes task marks bury

if not read_queue() then return { 'absent' } end
local me, repeated, given = ARGV[1], ARGV[2] == '1', ARGV[3]

local olds, count = {}, tonumber(ARGV[4])
for i = 1, count do olds[i] = ARGV[5 + (i - 1) * 7] end
local died = call('ZMSCORE', DEAD, unpack(olds))

local guarded, keys = {}, {}
for i = 1, count do
  local record = ARGV[5 + (i - 1) * 7 + 6]
  if died[i] and has(unpack_bytes('>I2', record), UNIQUE) then
    guarded[i] = read_record(pack('>I7', 0) .. record)
    keys[#keys + 1] = guarded[i].unique_key
  end
end
read_key_holders(keys)

measure_room()
local tick, ready, weight = latest_tick(), 0, 0
local reply, records, payloads, due, moved = { 'replayed', NOW, 0 }, {}, {}, {}, {}
for i = 1, count do
  local at = 5 + (i - 1) * 7
  local id, priority, name, group, when, record = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local flags = unpack_bytes('>I2', record)
  local payload = has(flags, BIG) and (given ~= '' and given or call('HGET', PAY, olds[i]))
  local key = guarded[i] and guarded[i].unique_key
  local holder = key and living_holder(key)
  -- Decides whether an entry may become a task, before anything is written. A death frees a key unless the
  -- key has a ttl; the rest of the ttl then passes to the new task.
  local run_at = moment(when) or 0
  local can = died[i] and (payload or not has(flags, BIG)) and not (holder and holder ~= olds[i])
  if can and run_at > NOW then record = timed(record, run_at) end
  local bytes = 7 + #record + #(payload or '')
  local full = can and (refuses_name(name) or no_room(bytes))
  if died[i] and holder and holder ~= olds[i] then
    reply[3 + i] = { 'taken', holder }
  elseif full then
    reply[3 + i] = full
  elseif can then
    tick, weight = tick + 1, weight + bytes
    if holder then
      take_key(key, id, key_expires[key] - NOW)
    elseif key and (guarded[i].scope == UNTIL_LEASED or guarded[i].scope == UNTIL_FINISHED) then
      take_key(key, id, 0)
    end
    moved[#moved + 1] = olds[i]
    note_name(name, run_at)
    if run_at > NOW then
      due[#due + 1] = run_at
      due[#due + 1] = id
    else
      run_at = 0
      ready = ready + 1
      arrive(tonumber(priority), name, group, tick, entry_of(tick, id))
    end
    records[#records + 1] = id
    records[#records + 1] = pack('>I7', tick) .. record
    if payload then
      payloads[#payloads + 1] = id
      payloads[#payloads + 1] = payload
    end
    reply[3 + i] = { 'moved', run_at }
  else
    local before = repeated and accepted_before(id)
    reply[3 + i] = before and { 'moved', before } or { 'gone' }
  end
end
if #moved == 0 then return reply end
reply[3] = ready
check_arrivals()
check_leave(moved)
check_marks()
call('ZCARD', DUE)
if #taken_keys > 0 then plan_old_keys(#taken_keys + 16) end

many('HSET', REC, records)
many('HSET', PAY, payloads)
many('ZADD', DUE, due)
apply_arrivals()
leave_dead(moved)
write_keys()
write_marks()
queue.tick, queue.accepted_total, queue.ready = tick, queue.accepted_total + #moved, queue.ready + ready
queue.unfinished_bytes = queue.unfinished_bytes + weight
write_names()
wake(me, ready)
write_queue()
call('HINCRBY', Q, 'replayed_total', #moved)
return reply
