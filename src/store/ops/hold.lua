-- hold: an operator holds the queue, a name or a group for a while, or ends the hold.
--
-- ARGV   1 scope: q | n<name> | g<group>  2 for how long (ms), 0 to end the hold
-- Reply  "held", until when (ms) or 0
--        "absent" when the queue does not exist
-- Keeps  I5 I19 I23: after its reply no task of the scope is granted
-- Uses   holds rotation events

if not read_queue() then return { 'absent' } end
local ms, of = tonumber(ARGV[2]), sub(ARGV[1], 2)
local was_held = gate_of(ARGV[1]).held > NOW
hold(ARGV[1], ms > 0 and NOW + ms or 0)
check_gates()
call('ZCARD', SHUT)

write_gates()
write_holds()
if ms == 0 then wake('', 1) end
write_queue()
if ms > 0 or was_held then
  local whose = byte(ARGV[1]) == NAME_SCOPE and format('"name":"%s",', of) or byte(ARGV[1]) == GROUP_SCOPE and format('"group":%s,', json_text(of)) or ''
  publish_event('hold', '%s"for_seconds":%.14g', whose, ms / 1000)
end
return { 'held', ms > 0 and NOW + ms or 0 }
