-- unique: keys that one task holds, so that no second task is created meanwhile.
--
--   UNIQ     hash  key -> the holder's id 14 | expires 6, or 0 if the holder's first grant or its end frees
--                  the key
--   UNIQ_AT  zset  expires -> key, of keys that expire
-- Uses   task

-- Scopes as in records. A key of the third scope, ttl, is freed by time alone.
local UNTIL_LEASED, UNTIL_FINISHED = 'l', 'f'

local holders, lapsed_keys, taken_keys, timed_keys = NONE, NONE, NONE, NONE -- per call
local untimed_keys, freed_keys, old_keys, key_expires = NONE, NONE, NONE, NONE -- per call

-- Reads the holders of these keys into `holders`, by key, and into `key_expires` when each key expires, or 0.
local function read_key_holders(keys)
  if #keys == 0 then return end
  holders, lapsed_keys, taken_keys, timed_keys, untimed_keys, key_expires = {}, {}, {}, {}, {}, {}
  for i, value in ipairs(call('HMGET', UNIQ, unpack(keys))) do
    if value then
      local expires = unpack_bytes('>I6', value, 15)
      if expires == 0 or expires > NOW then
        holders[keys[i]], key_expires[keys[i]] = sub(value, 1, 14), expires
      else
        lapsed_keys[keys[i]] = true
      end
    end
  end
end

-- Returns the holder of a key if it is alive. A task that waited past its expiry is dead before it is buried,
-- and no longer holds keys that its death frees. Reads stored tasks only; tasks of this call have not died.
local function living_holder(key)
  local id = holders[key]
  if not id or key_expires[key] > 0 then return id end
  local rec = call('HGET', REC, id)
  local is_over = rec and (expiry_of(rec) or math.huge) <= NOW and not call('ZSCORE', LEASED, id)
  return not is_over and id or nil
end

-- Gives the key to this task, for `ttl` ms, or until it is freed if `ttl` is 0.
local function take_key(key, id, ttl)
  local expires = ttl > 0 and NOW + ttl or 0
  holders[key], key_expires[key] = id, expires
  taken_keys[#taken_keys + 1] = key
  taken_keys[#taken_keys + 1] = id .. pack('>I6', expires)
  if ttl > 0 then
    timed_keys[#timed_keys + 1] = expires
    timed_keys[#timed_keys + 1] = key
  elseif lapsed_keys[key] then
    untimed_keys[#untimed_keys + 1] = key
  end
end

-- Plans to remove keys whose time is over, `limit` at most. A caller that takes keys passes more than it
-- takes, so that old ones cannot pile up.
local function plan_old_keys(limit)
  old_keys = call('ZRANGEBYSCORE', UNIQ_AT, '-inf', NOW, 'LIMIT', 0, limit)
  return #old_keys
end

local function write_keys()
  many('HDEL', UNIQ, old_keys)
  many('ZREM', UNIQ_AT, old_keys)
  many('ZREM', UNIQ_AT, untimed_keys)
  many('HSET', UNIQ, taken_keys)
  many('ZADD', UNIQ_AT, timed_keys)
end

-- Frees a key if this task still holds it: after a first grant or a death another task may.
local function free_key(id, task)
  local value = call('HGET', UNIQ, task.unique_key)
  if value and sub(value, 1, 14) == id then
    if freed_keys == NONE then freed_keys = {} end
    freed_keys[#freed_keys + 1] = task.unique_key
  end
end

-- Frees the key of a task that ends (completed, cancelled, dead, purged). Called with its record before the
-- first write; write_freed() writes.
local function free_unique(id, rec)
  if not has(byte(rec, FLAGS_AT), UNIQUE) then return end
  local task = read_record(rec)
  if task.scope == UNTIL_LEASED or task.scope == UNTIL_FINISHED then free_key(id, task) end
end

-- Frees the key of a task that is granted, if its scope ends with that.
local function free_at_grant(id, task)
  if task.scope == UNTIL_LEASED then free_key(id, task) end
end

local function write_freed() many('HDEL', UNIQ, freed_keys) end
