-- naming: bounds the names of a queue's tasks. Each name costs lanes, and a place in lists and metrics.
--
--   NAMED  zset  name -> when its last task was accepted, or is due (ms). A name without ready tasks and
--                without an
--          enqueue for NAME_KEPT_MS makes room for another one.
--   STATE  names_epoch: while it stays the same, senders remember the names that they sent,
--     and ask for others only.
-- Uses   rotation

local NAME_KEPT_MS, NAME_FAR_MS = 86400000, 43200000
local FULL_OF_NAMES = { 'full', 'names' }

-- A sender that knows all names asks for none; one that knows no name asks for all of them.
local asks_all, asked = true, NONE -- per call
local judged, named, leaving_names = NONE, NONE, NONE -- per call
local names_count, idle_names, idle_at = nil, nil, 0 -- per call

-- Reads the epoch of the sender's names and the names that it does not know at ARGV[at]. Returns the index of
-- the next argument.
local function read_names(at)
  local count = tonumber(ARGV[at + 1])
  asks_all = tonumber(ARGV[at]) ~= queue.names_epoch
  if count > 0 then asked = {} end
  for i = at + 2, at + 1 + count do asked[ARGV[i]] = true end
  return at + 2 + count
end

local function finds_room()
  names_count = names_count or call('ZCARD', NAMED)
  if names_count < QUEUE_NAMES_MAX then
    names_count = names_count + 1
    return true
  end
  idle_names = idle_names or call('ZRANGEBYSCORE', NAMED, '-inf', NOW - NAME_KEPT_MS, 'LIMIT', 0, QUEUE_NAMES_MAX)
  while idle_at < #idle_names do
    idle_at = idle_at + 1
    local name = idle_names[idle_at]
    if not judged[name] and call('EXISTS', names_of(name)) == 0 then
      if leaving_names == NONE then leaving_names = {} end
      leaving_names[#leaving_names + 1] = name
      leaving_names[name] = true
      return true
    end
  end
  return false
end

-- Returns why a task of this name is refused, or nil.
local function refuses_name(name)
  if not asks_all and not asked[name] then return nil end
  if judged == NONE then judged = {} end
  local fits = judged[name]
  if fits == nil then
    fits = call('ZSCORE', NAMED, name) and not leaving_names[name] or finds_room()
    judged[name] = fits
  end
  return not fits and FULL_OF_NAMES or nil
end

-- Notes an accepted task of this name, due at `run_at` (0: now).
local function note_name(name, run_at)
  local far = run_at > NOW + NAME_FAR_MS
  if not far and not asks_all and not asked[name] then return end
  if far then call('ZCARD', NAMED) end
  if named == NONE then named = {} end
  named[#named + 1] = max(NOW, run_at)
  named[#named + 1] = name
end

-- The caller writes the queue.
local function write_names()
  if #leaving_names > 0 then
    many('ZREM', NAMED, leaving_names)
    queue.names_epoch = queue.names_epoch + 1
  end
  if #named > 0 then call('ZADD', NAMED, 'GT', unpack(named)) end
end
