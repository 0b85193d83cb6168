-- show: returns everything that Redis has of some tasks.
--
-- ARGV   ids
-- Reply  "shown", now, then per task: record, payload, mutable part, history, result, leased score, due at,
--          died at; each '' if missing; an empty record means that there is no such task
--        "absent" when the queue does not exist
-- Keeps  I24
-- Flags  no-writes

if call('EXISTS', STATE) == 0 then return { 'absent' } end
local reply = { 'shown', NOW }
for _, id in ipairs(ARGV) do
  local n = #reply
  reply[n + 1] = call('HGET', REC, id) or ''
  reply[n + 2] = call('HGET', PAY, id) or ''
  reply[n + 3] = call('HGET', MUT, id) or ''
  reply[n + 4] = call('HGET', HIST, id) or ''
  reply[n + 5] = call('HGET', RES, id) or ''
  reply[n + 6] = call('ZSCORE', LEASED, id) or ''
  reply[n + 7] = call('ZSCORE', DUE, id) or ''
  reply[n + 8] = call('ZSCORE', DEAD, id) or ''
end
return reply
