-- sweep: takes back leases that ran out, makes due tasks ready, and buries tasks past their expiry. Drops
-- what the retention and the bounds of dead letters no longer cover, and full buckets. Notes the end of a
-- pause.
--
-- ARGV   1 replica  2 how many of each at most
-- Reply  "swept", now, next_at (now when there is more to drop) or 0, leases taken back, tasks made ready by
--          coming due, "1" when there are more old keys or marks, "1" when tasks moved or dead letters left,
--          how many gates may let tasks through again
--        "absent" when the queue does not exist
-- Moves  scheduled -> ready | dead; ready -> dead; leased -> ready | dead | cancelled; completed, cancelled,
--          dead -> (gone)
-- Keeps  I3 I4 I6 I8 I12 I14 I15 I19 I21 I22 I23 I25 I28. It checks the records of what it moves, not only
--          index entries.
-- Uses   events paused unique repeats retry overdue clear
-- Flags  allow-oom

if not read_queue() then
  clear_lanes(CLEAR_LANES) -- rest of an interrupted deletion
  return { 'absent' }
end
local me, limit = ARGV[1], tonumber(ARGV[2])
local BUCKETS = 32 -- how many are checked for being full

local due = call('ZRANGEBYSCORE', DUE, '-inf', NOW, 'WITHSCORES', 'LIMIT', 0, limit)
local over = call('ZRANGEBYSCORE', LEASED, '-inf', format('(%d', (NOW + 1) * PLACES), 'WITHSCORES', 'LIMIT', 0, limit)
local seen = call('ZRANGEBYSCORE', LINGER, '-inf', NOW, 'LIMIT', 0, limit)

local overdue = bury_overdue(limit)
local came_due, ran_out, ids_due = {}, {}, {}
for i = 1, #due, 2 do ids_due[#ids_due + 1] = due[i] end
if #ids_due > 0 then
  local recs, changed = call('HMGET', REC, unpack(ids_due)), call('HMGET', MUT, unpack(ids_due))
  for i, id in ipairs(ids_due) do
    local task = not overdue[id] and recs[i] and read_record(recs[i])
    if task and has_expired(task) then
      bury_waiting({ id = id, rec = recs[i], task = task, bytes = changed[i], state = 's' })
    elseif not overdue[id] then
      came_due[#came_due + 1] = id
    end
    if task and not has_expired(task) then
      local priority = changed[i] and read_mut(changed[i]).priority or task.priority
      return_to_lane(id, task, priority, place_at(tonumber(due[i * 2]), task.tick))
    end
  end
end

for i = 1, #over, 2 do
  local id, expires, nonce = over[i], read_score(over[i + 1])
  local rec, bytes = call('HGET', REC, id), call('HGET', MUT, id)
  ran_out[#ran_out + 1] = id
  if rec then
    local task = read_record(rec)
    tally(task.name, task.group, -1)
    local m = bytes and read_mut(bytes) or first_mut(task, expires - task.lease_ms)
    local attempt = { number = m.failed + 1, grant = m.grants, started = m.granted_at, ended = expires, outcome = LEASE_EXPIRED,
      worker = m.worker, kind = 'lease_expired', message = 'the lease ran out before the task was settled', stack = '', cut = 0 }
    judge_of(task.name, m.granted_at, not has(m.flags, CANCEL) and 'failure' or nil)
    fail(id, m, task, rec, attempt, { run_at = NOW, place = expires })
    m.slot, m.worker, m.flags = nonce, '', with(m.flags, EXPIRED)
    keep_mut(id, m)
  end
end
check_writes(limit)
check_departures()
local full = full_buckets(BUCKETS)
local more, dead_before = #gone >= limit or #seen >= limit, call('ZCARD', DEAD)
local keys_over, repeats_over = plan_old_keys(limit), plan_old_repeats(limit, math.huge)

local pause_over = queue.paused > 0 and paused_now() == 0
local freed = write_decisions(me, ran_out)
many('ZREM', DUE, came_due)
if pause_over then forget_pause() end
apply_departures()
queue.ready = queue.ready - buried_ready
if pause_over then wake(me, queue.ready) end
if #came_due + #ran_out + #gone + buried_ready + #buried > 0 or pause_over then write_queue() end
if #ran_out > 0 then call('HINCRBY', Q, 'leases_expired_total', #ran_out) end
many('ZREM', LINGER, seen)
forget(seen)
more = age_dead() or more
more = evict_dead() or more -- bounds may have been lowered
many('HDEL', GATE, full)
write_keys()
write_repeats()
if pause_over then publish_event('resumed', '') end

local moved = #came_due + #ran_out + buried_ready > 0 or call('ZCARD', DEAD) ~= dead_before
more = more or #full == BUCKETS
return { 'swept', NOW, more and NOW or or_lease_reopens((next_look())), #ran_out, #came_due,
  (keys_over == limit or repeats_over == limit) and 1 or 0, moved and 1 or 0, freed }
