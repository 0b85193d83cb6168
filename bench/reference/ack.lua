-- Forgets leased tasks.
-- KEYS  1 payload hash, 2 leased set, 3 counter hash
-- ARGV  id, for each task
-- reply number of tasks that were leased
local acked = redis.call('ZREM', KEYS[2], unpack(ARGV))
redis.call('HDEL', KEYS[1], unpack(ARGV))
redis.call('HINCRBY', KEYS[3], 'acked', acked)
return acked
