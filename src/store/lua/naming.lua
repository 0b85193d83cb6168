-- naming: bounds how many names the tasks of a queue may have. Each name costs lanes, and a row in every list
-- of names.
--
--   NAMED  zset  name -> when a task of it last came, or is due (ms). A name without ready tasks that has not
--                come for NAME_KEPT_MS makes room for another name.
--   STATE  names_epoch: senders remember the names that they sent while it stays the same, and send only
--          unknown ones.
-- Uses   rotation

local NAME_KEPT_MS, NAME_FAR_MS = 86400000, 43200000
local FULL_OF_NAMES = { 'full', 'names' }

-- `all_unknown` is true if every name must be checked, because the sender remembers none of this epoch.
-- `unknown_names` has the names that the sender does not remember.
local all_unknown, unknown_names = true, NONE -- per call
local judged, named, leaving_names = NONE, NONE, NONE -- per call
local names_count, idle_names, idle_at = nil, nil, 0 -- per call

-- Reads, from ARGV[at], the epoch of the names that the sender remembers, and the names that it does not.
-- Returns the index of the next argument.
local function read_names(at)
  local count = tonumber(ARGV[at + 1])
  all_unknown = tonumber(ARGV[at]) ~= queue.names_epoch
  if count > 0 then unknown_names = {} end
  for i = at + 2, at + 1 + count do unknown_names[ARGV[i]] = true end
  return at + 2 + count
end

-- Takes a place for a new name, if need be that of an idle one. Returns false if there is none.
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

-- Returns why no task of this name is accepted, or nil.
local function refuses_name(name)
  if not all_unknown and not unknown_names[name] then return nil end
  if judged == NONE then judged = {} end
  local fits = judged[name]
  if fits == nil then
    fits = call('ZSCORE', NAMED, name) and not leaving_names[name] or finds_room()
    judged[name] = fits
  end
  return not fits and FULL_OF_NAMES or nil
end

-- Notes the name of an accepted task that is due at `run_at` (0: now).
local function note_name(name, run_at)
  local far = run_at > NOW + NAME_FAR_MS
  if not far and not all_unknown and not unknown_names[name] then return end
  if far then call('ZCARD', NAMED) end
  if named == NONE then named = {} end
  named[#named + 1] = max(NOW, run_at)
  named[#named + 1] = name
end

-- Writes the names. The caller writes the queue.
local function write_names()
  if #leaving_names > 0 then
    many('ZREM', NAMED, leaving_names)
    queue.names_epoch = queue.names_epoch + 1
  end
  if #named > 0 then call('ZADD', NAMED, 'GT', unpack(named)) end
end
