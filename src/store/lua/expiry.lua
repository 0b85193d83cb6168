-- expiry: waiting tasks that expire at their expires_at.
--
--   EXPIRY  zset  expires_at -> id, of waiting tasks only: a grant removes a task, its return adds it again
--
-- From its expires_at on a waiting task counts as dead, whether or not the sweep has moved it.
-- Uses   task

local expiring, unexpiring = NONE, NONE -- per call

local function has_expired(task) return task.expires_at ~= nil and task.expires_at <= NOW end

-- Notes that a task waits from now on. `expires_at` may be nil.
local function may_expire(id, expires_at)
  if not expires_at then return end
  if expiring == NONE then expiring = {} end
  expiring[#expiring + 1] = expires_at
  expiring[#expiring + 1] = id
end

-- Notes that a task waits no more.
local function cannot_expire(id)
  if unexpiring == NONE then unexpiring = {} end
  unexpiring[#unexpiring + 1] = id
end

-- Changes when a waiting task expires, also if this call has noted another time. `expires_at` is nil for
-- never.
local function expires_otherwise(id, expires_at)
  for i = #expiring, 2, -2 do
    if expiring[i] == id then
      table.remove(expiring, i)
      table.remove(expiring, i - 1)
    end
  end
  if expires_at then may_expire(id, expires_at) else cannot_expire(id) end
end

local function check_expiry()
  if #expiring + #unexpiring > 0 then call('ZCARD', EXPIRY) end
end

local function write_expiry()
  many('ZREM', EXPIRY, unexpiring)
  many('ZADD', EXPIRY, expiring)
end

-- Returns when a sweep has something to do again, or 0: a task is due or expires, or a lease runs out.
-- Returns also when the first task is due, or nil.
local function next_look()
  local due = call('ZRANGE', DUE, '0', '0', 'WITHSCORES')[2]
  local at = min(tonumber(due) or math.huge, tonumber(call('ZRANGE', EXPIRY, '0', '0', 'WITHSCORES')[2]) or math.huge)
  local lease_ends = call('ZRANGE', LEASED, '0', '0', 'WITHSCORES')[2]
  if lease_ends then at = min(at, (read_score(lease_ends))) end
  return at == math.huge and 0 or at, due
end
