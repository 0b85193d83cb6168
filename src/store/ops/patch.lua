-- patch: changes priority or time of a waiting task.
--
-- ARGV   1 replica  2 id  3 priority or '' to keep it
--        4 '' to keep its time, or when it is to run (ms); a past time means now
-- Reply  "patched", state (r ready, s scheduled), priority, when it becomes or became ready (ms)
--        "refused", state, when it does not wait
--        "unknown" when there is no such task
--        "absent" when the queue does not exist
-- Moves  ready -> scheduled; scheduled -> ready. A ready task keeps its place at any priority; run now, it is
--          ready as of now.
-- Keeps  I3 I4 I5 I17 I19
-- Uses   waiting

if not read_queue() then return { 'absent' } end

local me, id, priority, at = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local t = look_up(id)
if not t then return { 'unknown' } end
if t.state ~= 'r' and t.state ~= 's' then return { 'refused', t.state } end

local m, task, was, due = mut_of(t), t.task, t.state, tonumber(t.due or nil)
local becomes, place = was, m.place
if at and at > NOW then
  becomes, due, place = 's', at, place_at(at, task.tick)
elseif at and was == 's' then
  becomes, place = 'r', place_at(NOW, task.tick)
end
priority = priority or m.priority
local reply = { 'patched', becomes, priority, becomes == 's' and due or floor(place / PLACES) }
if becomes == was and place == m.place and priority == m.priority then return reply end

if was == 'r' or becomes == 'r' then depart(t) end
m.priority, m.place = priority, place
if becomes == 'r' then arrive(priority, task.name, task.group, place, entry_of(task.tick, id)) end
call('HLEN', MUT)
check_arrivals()
check_departures()

call('HSET', MUT, id, write_mut(m))
if becomes == 's' then call('ZADD', DUE, due, id) end
-- In this order the group keeps its turn.
apply_arrivals()
apply_departures()
if becomes ~= was then
  queue.ready = queue.ready + (becomes == 'r' and 1 or -1)
  if becomes == 'r' then wake(me, 1) end
  write_queue()
end
return reply
