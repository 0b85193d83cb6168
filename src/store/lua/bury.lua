-- bury: tasks that become dead letters.
--
--   DEAD  zset  died_at -> id; the reason is in the mutable part
-- Uses   task finish

local REASONS = { attempts_exhausted = 1, rejected = 2, expired = 3 }
local buried = {} -- per call

-- The caller writes the mutable part.
local function bury(id, m, reason)
  m.flags = m.flags % REASON + REASONS[reason] * REASON
  queue.died_total = queue.died_total + 1
  buried[#buried + 1] = NOW
  buried[#buried + 1] = id
end

-- At most `max_size` stay; the oldest go, counted.
local function evict_dead()
  local over = call('ZCARD', DEAD) - queue.dead_max_size
  if over <= 0 then return end
  local oldest, page = {}, call('ZPOPMIN', DEAD, min(over, 400))
  for i = 1, #page, 2 do oldest[#oldest + 1] = page[i] end
  forget(oldest)
  call('HINCRBY', Q, 'dead_evicted_total', #oldest)
end

-- Dead letters leave otherwise: replayed or purged. The caller has seen that they are there, and counts them.
local function check_leave()
  call('ZCARD', DEAD)
  for _, key in ipairs({ REC, RES, PAY, MUT, HIST }) do call('HLEN', key) end
end

local function leave_dead(ids)
  many('ZREM', DEAD, ids)
  forget(ids)
end

local function write_buried()
  if #buried == 0 then return end
  many('ZADD', DEAD, buried)
  evict_dead()
end
