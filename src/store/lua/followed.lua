-- followed: tasks whose end a caller waits for (GET with wait_seconds).
--
--   FOLLOWED  zset  until ms -> id; a message tells the waiting replicas when the task ends
--   LINGER    zset  until ms -> id, of ended tasks that nothing else keeps: visible until the wait is over
--
-- This costs nothing while no caller waits: `followed_until` of the queue is past.

local function is_followed() return queue.followed_until > NOW end

-- Returns the followed tasks among `ids`: id -> until when.
local function followed_among(ids)
  local found = {}
  for from = 1, #ids, 900 do
    local last = min(from + 899, #ids)
    for i, score in ipairs(call('ZMSCORE', FOLLOWED, unpack(ids, from, last))) do
      if score and tonumber(score) > NOW then found[ids[from + i - 1]] = score end
    end
  end
  return found
end

local function check_followed()
  if not is_followed() then return end
  call('ZCARD', FOLLOWED)
  call('ZCARD', LINGER)
  call('HLEN', RES)
end

local function tell_followers(ids)
  if not is_followed() then return end
  local found, ended_ids = followed_among(ids), {}
  for _, id in ipairs(ids) do
    if found[id] then ended_ids[#ended_ids + 1] = id end
  end
  if #ended_ids > 0 then call('PUBLISH', ENDED, string.match(Q, '{(.-)}') .. ' ' .. table.concat(ended_ids)) end
end

-- Splits ended tasks that are to be forgotten: those that may go, and those that linger because a follower
-- may not have looked yet.
local function split_followed(ids)
  if not is_followed() then return ids, NONE end
  local found, free, lingering, scores = followed_among(ids), {}, {}, {}
  for _, id in ipairs(ids) do
    if found[id] then
      lingering[#lingering + 1] = id
      scores[#scores + 1] = found[id]
      scores[#scores + 1] = id
    else
      free[#free + 1] = id
    end
  end
  many('ZADD', LINGER, scores)
  return free, lingering
end
