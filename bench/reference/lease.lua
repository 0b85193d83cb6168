-- Hands out the oldest ready tasks.
-- KEYS  1 ready list, 2 payload hash, 3 leased set (score: when the lease ends), 4 counter hash
-- ARGV  1 at most this many tasks, 2 when the leases end, in milliseconds
-- reply ids, payloads; two empty lists when nothing is ready
local ids = redis.call('LPOP', KEYS[1], ARGV[1])
if not ids then
  return { {}, {} }
end
local payloads = redis.call('HMGET', KEYS[2], unpack(ids))
local ends = {}
for i, id in ipairs(ids) do
  ends[2 * i - 1] = ARGV[2]
  ends[2 * i] = id
end
redis.call('ZADD', KEYS[3], unpack(ends))
redis.call('HINCRBY', KEYS[4], 'leased', #ids)
return { ids, payloads }
