-- set_breaker: an operator opens or closes the breaker of a name.
--
-- ARGV   1 name  2 open | closed  3 for how long (ms), or '' until it is closed by hand
-- Reply  "set", until when (ms) or 0
--        "absent" when the queue does not exist
-- Keeps  I5 I22: after its reply no task of a name with an open breaker is granted, and earlier grants do not
--          move the breaker
-- Uses   gates

if not read_queue() then return { 'absent' } end
local scope, ms = 'n' .. ARGV[1], tonumber(ARGV[3])
local gate = gate_of(scope)
-- A name without a breaker in the config gets one that is open for this time and then closed.
local b = gate.breaker or breaker_of(ARGV[1], { 0, 0, 0, 0 })
gate.breaker = b
check_gates()
call('ZCARD', SHUT)

if ARGV[2] == 'open' then
  enter_state(b, OPEN, ms and NOW + ms or FAR)
  b.reset_ms = b.base_ms
  evaluate(gate)
  write_gates()
  call('ZADD', SHUT, gate.at, scope)
else
  enter_state(b, CLOSED, 0)
  write_gates()
  call('ZADD', SHUT, 'XX', NOW, scope)
  wake('', 1)
end
queue.shut = call('ZCARD', SHUT)
write_queue()
return { 'set', ARGV[2] == 'open' and ms and NOW + ms or 0 }
