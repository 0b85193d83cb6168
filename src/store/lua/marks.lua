-- marks: kept for settled leases, so that a repeated request can be recognised.
--
--   MARK, MARK_OLD  hash  two generations, swapped every MARKS_MS or MARKS_MAX marks
--     id             -> the ack that completed the task:
--                       'a' | grant 4 | nonce 2
--                       or another way that the task left, op being x (cancelled) or p (purged or replayed):
--                       op 1 | grant 4 | the rest as below, empty
--     id .. grant 4  -> the nack or release that ended a grant:
--                       op 1 | grant 4 | nonce 2 | state 1 | attempt 2 | attempts left 2 | next_at 6
-- Uses   task

local MARKS_MS, MARKS_MAX, MARKS_TTL = 300000, 500000, 660

-- Returns when a task runs that an earlier try created, 0 for at once, or nil if there was none. The task
-- still exists, or it left a mark of its ack or of the end of its first grant.
local function accepted_before(id)
  local rec = call('HGET', REC, id)
  if rec then
    return read_record(rec).run_at or 0
  end
  for _, left in ipairs({ id, id .. pack('>I4', 1) }) do
    if call('HEXISTS', MARK, left) == 1 or call('HEXISTS', MARK_OLD, left) == 1 then return 0 end
  end
end

local marks, marks_size = NONE, 0 -- per call

local function check_marks() marks_size = call('HLEN', MARK) end

local function mark(key, value)
  if marks == NONE then marks = {} end
  local n = #marks
  marks[n + 1], marks[n + 2] = key, value
end

-- Marks a task that left while it waited.
local function mark_left(id, op, grants) mark(id, pack('>c1I4I2c1I2I2I6', op, grants, 0, op, 0, 0, 0)) end

local function write_marks()
  if #marks == 0 then return end
  local size = marks_size
  if NOW - queue.marks_at >= MARKS_MS or size >= MARKS_MAX then
    call('UNLINK', MARK_OLD)
    if size > 0 then call('RENAME', MARK, MARK_OLD) end
    queue.marks_at = NOW
    size = 0
  end
  many('HSET', MARK, marks)
  if size == 0 then call('EXPIRE', MARK, MARKS_TTL) end
end
