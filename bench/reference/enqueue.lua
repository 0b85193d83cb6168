-- The plain queue of the yardstick: a list of ready ids and one hash of payloads. No lanes, no states, no
-- checks. KEYS  1 ready list, 2 payload hash, 3 counter hash ARGV  id, payload, for each task reply number of
-- tasks
local ids = {}
for i = 1, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end
redis.call('RPUSH', KEYS[1], unpack(ids))
redis.call('HSET', KEYS[2], unpack(ARGV))
redis.call('HINCRBY', KEYS[3], 'enqueued', #ids)
return #ids
