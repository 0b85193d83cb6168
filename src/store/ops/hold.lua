-- hold: an operator holds the queue, a name or a group back for a while, or ends that.
--
-- ARGV   1 scope: q | n<name> | g<group>  2 for how long (ms), 0 to end it
-- Reply  "held", until when (ms) or 0
--        "absent" when the queue does not exist
-- Keeps  I5 I19 I23: from its answer on nothing of the scope is granted
-- Uses   holds rotation

if not read_queue() then return { 'absent' } end
local ms = tonumber(ARGV[2])
hold(ARGV[1], ms > 0 and NOW + ms or 0)
check_gates()
call('ZCARD', SHUT)

write_gates()
write_holds()
if ms == 0 then wake('', 1) end
write_queue()
return { 'held', ms > 0 and NOW + ms or 0 }
