-- intake: how many tasks and bytes a queue takes. Its bounds apply to unfinished tasks: scheduled, ready and
-- leased together.
--
--   STATE  max_tasks and max_bytes (0: unbounded); unfinished_bytes of these tasks, records and separate
--          payloads. Each script that creates, changes or ends a task keeps that sum: enqueue and replay
--          here, `finish`, `bury`, purge.

local FULL_OF_TASKS, FULL_OF_BYTES, FULL_OF_DEAD = { 'full', 'tasks' }, { 'full', 'bytes' }, { 'full', 'dead' }

-- Room for new tasks and bytes, nil without a bound, and the bytes that existing tasks have grown by.
local room_tasks, room_bytes, grown = nil, nil, 0 -- per call

-- Measures the room. Returns whether there is a bound.
local function measure_room()
  if queue.max_tasks > 0 then room_tasks = queue.max_tasks - queue.ready - call('ZCARD', DUE) - call('ZCARD', LEASED) end
  if queue.max_bytes > 0 then room_bytes = queue.max_bytes - queue.unfinished_bytes end
  return room_tasks ~= nil or room_bytes ~= nil
end

-- Takes room for bytes. A task that shrinks always fits.
local function fits(bytes)
  if not room_bytes then return true end
  if bytes > 0 and bytes > room_bytes then return false end
  room_bytes = room_bytes - bytes
  return true
end

-- Changes the bytes of an existing task. Returns false if there is no room.
local function change_bytes(bytes)
  if not fits(bytes) then return false end
  grown = grown + bytes
  return true
end

-- Returns why a new task of so many bytes is refused. Takes the room and returns nil if it is accepted.
local function no_room(bytes)
  if room_tasks and room_tasks < 1 then return FULL_OF_TASKS end
  if not fits(bytes) then return FULL_OF_BYTES end
  if room_tasks then room_tasks = room_tasks - 1 end
end
