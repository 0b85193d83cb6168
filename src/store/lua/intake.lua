-- intake: how much a queue takes. Its bounds are of what is unfinished: scheduled, ready and leased tasks together.
--
--   STATE  max_tasks and max_bytes (0: unbounded), unfinished_bytes: of those tasks, records and payloads that lie apart.
--          Whoever makes, changes or ends a task counts it there: enqueue and replay here, `finish`, `bury` and purge.

local FULL_OF_TASKS, FULL_OF_BYTES, FULL_OF_DEAD = { 'full', 'tasks' }, { 'full', 'bytes' }, { 'full', 'dead' }

-- Room for new tasks and bytes; nil without a bound. By how much tasks that were there have grown.
local room_tasks, room_bytes, grown = nil, nil, 0 -- per call

-- Whether there is a bound.
local function measure_room()
  if queue.max_tasks > 0 then room_tasks = queue.max_tasks - queue.ready - call('ZCARD', DUE) - call('ZCARD', LEASED) end
  if queue.max_bytes > 0 then room_bytes = queue.max_bytes - queue.unfinished_bytes end
  return room_tasks ~= nil or room_bytes ~= nil
end

-- What has fewer bytes than it had fits, however little room there is.
local function fits(bytes)
  if not room_bytes then return true end
  if bytes > 0 and bytes > room_bytes then return false end
  room_bytes = room_bytes - bytes
  return true
end

-- A task gets other bytes than it had; or does not, and false, where there is no room.
local function grow(bytes)
  if not fits(bytes) then return false end
  grown = grown + bytes
  return true
end

-- Why a new task of so many bytes is not taken; or nil where it is, and there is so much less room.
local function no_room(bytes)
  if room_tasks and room_tasks < 1 then return FULL_OF_TASKS end
  if not fits(bytes) then return FULL_OF_BYTES end
  if room_tasks then room_tasks = room_tasks - 1 end
end
