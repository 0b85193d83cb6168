-- purge: deletes waiting and dead tasks for good. Asks the workers of leased ones to stop; leaves finished
-- ones alone.
--
-- ARGV   1 state that the tasks must be in, or '' for any  2... ids
-- Reply  "purged", how many, how many workers were asked to stop
--        "absent" when the queue does not exist
-- Moves  scheduled -> (gone); ready -> (gone); dead -> (gone)
-- Keeps  I3 I4 I5 I14 I15 I23
-- Uses   unique waiting finish marks bury expiry
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end

local only, changes, leaving_now, buried_ids, ready = STATES[ARGV[1]], {}, {}, {}, 0
for i = 2, #ARGV do
  local t = look_up(ARGV[i])
  if t and (not only or t.state == only) then
    if t.state == 'l' then
      local m = mut_of(t)
      m.flags = with(m.flags, CANCEL)
      changes[#changes + 1] = t.id
      changes[#changes + 1] = write_mut(m)
    elseif t.waits or (t.state == 'd' and call('ZSCORE', DEAD, t.id)) then -- a lingering task has left
      if t.waits then
        depart(t)
        free_unique(t.id, t.rec)
        if t.task.expires_at then cannot_expire(t.id) end
        leaving_now[#leaving_now + 1] = t.id
        if t.waits == 'r' then ready = ready + 1 end
        queue.unfinished_bytes = queue.unfinished_bytes - bytes_of(t.id, t.rec)
        -- The mark keeps a repeated enqueue from creating the task anew: a stale entry in a list would then
        -- count as its own.
        if t.task.tick > (NOW - MARKS_MS) * PLACES then mark_left(t.id, 'p', t.bytes and read_mut(t.bytes).grants or 0) end
      else
        buried_ids[#buried_ids + 1] = t.id
      end
    end
  end
end
local purged = #leaving_now + #buried_ids
local reply = { 'purged', purged, #changes / 2 }
if purged + #changes == 0 then return reply end
call('HLEN', Q)
check_leave(buried_ids)
check_departures()
check_expiry()
check_marks()

many('HSET', MUT, changes)
if purged == 0 then return reply end
forget(leaving_now)
leave_dead(buried_ids)
apply_departures()
write_freed()
write_expiry()
call('HINCRBY', Q, 'purged_total', purged)
write_marks()
queue.ready = queue.ready - ready
write_queue()
return reply
