-- purge_dead: deletes dead letters.
--
-- ARGV   ids
-- Reply  "purged", now, how many of them were dead letters
--        "absent" when the queue does not exist
-- Moves  dead -> (gone)
-- Keeps  I1 I3 I4 I5 I14
-- Uses   marks bury
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end
local leaving = {}
for i, died_at in ipairs(call('ZMSCORE', DEAD, unpack(ARGV))) do
  if died_at then leaving[#leaving + 1] = ARGV[i] end
end
if #leaving == 0 then return { 'purged', NOW, 0 } end
check_leave(leaving)
check_marks()

leave_dead(leaving)
call('HINCRBY', Q, 'purged_total', #leaving)
write_marks()
write_queue()
return { 'purged', NOW, #leaving }
