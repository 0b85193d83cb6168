-- cancel: cancels waiting tasks, and asks the workers of leased ones to stop, who see it on extend.
--
-- ARGV   1 state that the tasks must be in, or '' for any  2... ids
-- Reply  "seen", then per id {"cancelled"} (now or before) | {"requested"} | {"refused", state} | {"unknown"}
--        "absent" when the queue does not exist
-- Moves  ready -> cancelled; scheduled -> cancelled
-- Keeps  I3 I4 I5 I15 I23 I25
-- Uses   unique waiting finish marks expiry
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end

local only, reply, changes, ready = STATES[ARGV[1]], { 'seen' }, {}, 0
for i = 2, #ARGV do
  local t = look_up(ARGV[i])
  local outcome
  if not t then
    outcome = { 'unknown' }
  elseif only and t.state ~= only then
    outcome = { 'refused', t.state }
  elseif t.state == 'l' then
    local m = mut_of(t)
    m.flags = with(m.flags, CANCEL)
    changes[#changes + 1] = t.id
    changes[#changes + 1] = write_mut(m)
    outcome = { 'requested' }
  elseif t.state == 'r' or t.state == 's' then
    local m = mut_of(t)
    if t.state == 'r' then ready = ready + 1 end
    depart(t)
    free_unique(t.id, t.rec)
    if t.task.expires_at then cannot_expire(t.id) end
    finish(CANCELLED, pack('>I4', bytes_of(t.id, t.rec)) .. t.id, 0, pack('>I4', m.grants), '')
    -- A mutable part makes an entry that stays in a list stale. The mark keeps a repeated enqueue from
    -- creating the task anew.
    changes[#changes + 1] = t.id
    changes[#changes + 1] = write_mut(m)
    mark_left(t.id, CANCELLED, m.grants)
    outcome = { 'cancelled' }
  elseif t.state == CANCELLED then
    outcome = { 'cancelled' }
  else
    outcome = { 'refused', t.state }
  end
  reply[i] = outcome
end
if #changes == 0 then return reply end
for _, key in ipairs({ REC, PAY, MUT, HIST }) do call('HLEN', key) end
check_departures()
check_expiry()
check_finish()
check_marks()

many('HSET', MUT, changes)
if finishes == 0 then return reply end
apply_departures()
write_freed()
write_expiry()
write_finished()
write_marks()
queue.ready, queue.cancelled_total = queue.ready - ready, queue.cancelled_total + finishes
write_queue()
return reply
