-- repeats: marks of requests with an Idempotency-Key, so that a repeat gets the same response.
--
--   IDEM     hash  request 16 [index 2] -> body 16 | expires 6 | what it did 1 | id 14
--   IDEM_AT  list  expires 6 | request 16 [index 2], oldest first
--
-- A batch has a mark of its own with the digest of its body, and one mark for each task that was not refused.

local DID = { m = 'made', d = 'duplicate', r = 'replaced' }
local REPEAT_MARK = '>c16I6c1c14'

local known_repeats, new_repeats, repeat_ends, renewed = NONE, NONE, NONE, NONE -- per call
local old_repeats, old_repeat_fields, dropped_repeats = 0, NONE, 0 -- per call

-- Reads the marks with these fields into `known_repeats`, by field. `items` have a field and a request. A
-- batch without a mark of its own takes the mark of one of its tasks, which has the same digest.
local function read_repeats(fields, items)
  if #fields == 0 then return end
  known_repeats, new_repeats, repeat_ends, renewed = {}, {}, {}, {}
  for i, value in ipairs(call('HMGET', IDEM, unpack(fields))) do
    if value then
      local body, expires, did, id = unpack_bytes(REPEAT_MARK, value)
      if expires > NOW then known_repeats[fields[i]] = { body = body, did = DID[did], id = id } end
    end
  end
  for _, item in ipairs(items) do
    known_repeats[item.request] = known_repeats[item.request] or known_repeats[item.field]
  end
end

local function remember_repeat(field, body, id, did, ms)
  if known_repeats[field] then return end
  known_repeats[field], renewed[field] = { body = body, did = did, id = id }, true
  new_repeats[#new_repeats + 1] = field
  new_repeats[#new_repeats + 1] = pack(REPEAT_MARK, body, NOW + ms, sub(did, 1, 1), id)
  repeat_ends[#repeat_ends + 1] = pack('>I6', NOW + ms) .. field
end

-- Plans to drop old marks: those whose time is over, and the oldest if there would be more than `max`. Looks
-- at `limit` at most.
local function plan_old_repeats(limit, max)
  local over, ends = call('LLEN', IDEM_AT) + #repeat_ends - max, {}
  local oldest = call('LINDEX', IDEM_AT, 0)
  if not oldest or (over <= 0 and unpack_bytes('>I6', oldest) > NOW) then return 0 end
  local fields = {}
  old_repeat_fields = {}
  for i, entry in ipairs(call('LRANGE', IDEM_AT, 0, limit - 1)) do
    ends[i] = unpack_bytes('>I6', entry)
    if ends[i] > NOW and i > over then break end
    old_repeats, fields[i] = i, sub(entry, 7)
  end
  -- A request that came again after its time has a later entry, too, and keeps its mark.
  for i, value in ipairs(call('HMGET', IDEM, unpack(fields))) do
    if value and not renewed[fields[i]] and unpack_bytes('>I6', value, 17) == ends[i] then
      old_repeat_fields[#old_repeat_fields + 1] = fields[i]
      if ends[i] > NOW then dropped_repeats = dropped_repeats + 1 end
    end
  end
  return old_repeats
end

local function write_repeats()
  if old_repeats > 0 then call('LTRIM', IDEM_AT, old_repeats, -1) end
  many('HDEL', IDEM, old_repeat_fields)
  many('HSET', IDEM, new_repeats)
  many('RPUSH', IDEM_AT, repeat_ends)
  if dropped_repeats > 0 then call('HINCRBY', Q, 'idempotency_dropped_total', dropped_repeats) end
end
