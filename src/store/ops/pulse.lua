-- pulse: the recent past of a queue, as its replicas saw it together.
--
-- ARGV   1 chart: 10s | 5m  2 how many of its newest rows at most  3 "1" for the fields of PULSE, too
-- Reply  "pulse", now, ready, leased, fields of PULSE and their values or nothing (list), rows (list), as
--          `beat` writes them
--        "absent" when the queue does not exist
-- Keeps  I24 I28
-- Flags  no-writes

if not read_queue() then return { 'absent' } end
local rows = call('LRANGE', ARGV[1] == '5m' and PULSE_5M or PULSE_10S, -tonumber(ARGV[2]), -1)
return { 'pulse', NOW, queue.ready, call('ZCARD', LEASED), ARGV[3] == '1' and call('HGETALL', PULSE) or {}, rows }
