-- settle: who holds a task, and what settled leases leave behind so that a repeat can be answered.
--
--   MARK, MARK_OLD  hash  two generations of marks, swapped every MARKS_MS or MARKS_MAX marks
--     id             -> the ack that completed the task
--     id .. grant 4  -> the nack or release that ended that grant
--   mark: op 1 | grant 4 | nonce 2 | state 1 | attempt 2 | attempts left 2 | next_at 6
-- The ids of one call are distinct: the caller sends a second operation on one task in a later call.

local MARKS_MS, MARKS_MAX, MARKS_TTL = 300000, 500000, 660

local ids, scores, muts = {}, {}, {}

-- Reads what `count` items of `width` arguments, the first being the task's id, need to be judged.
local function read_holders(from, count, width)
  for i = 1, count do ids[i] = ARGV[from + (i - 1) * width] end
  scores = call('ZMSCORE', LEASED, unpack(ids))
  muts = call('HMGET', MUT, unpack(ids))
end

-- The expiry and the mutable part of the lease, when it is the task's current one.
local function held(i, grant, nonce)
  if not scores[i] then return nil end
  local expires, its_nonce = read_score(scores[i])
  if nonce ~= its_nonce then return nil end
  if not muts[i] then
    if grant ~= 1 then return nil end
    return expires, nil
  end
  local m = read_mut(muts[i])
  if grant ~= m.grants then return nil end
  return expires, m
end

local function mark_at(key)
  local mark = call('HGET', MARK, key) or call('HGET', MARK_OLD, key)
  if not mark then return nil end
  local m = {}
  m.op, m.grant, m.nonce, m.state, m.attempt, m.left, m.next_at = unpack_bytes('>c1I4I2c1I2I2I6', mark)
  return m
end

-- What a lease that is not current is told: 'already' with the mark of what it did, 'lost' or 'unknown'.
local function judge(id, op, grant, nonce)
  local final = mark_at(id)
  if final then
    return op == 'a' and final.grant == grant and final.nonce == nonce and 'already' or 'lost', final
  end
  local step = mark_at(id .. pack('>I4', grant))
  if step and step.nonce == nonce then return step.op == op and 'already' or 'lost', step end
  if call('HEXISTS', REC, id) == 1 and call('HEXISTS', RES, id) == 0 then return 'lost' end
  return 'unknown'
end

local marks = {}

local function mark(key, op, grant, nonce, state, attempt, left, next_at)
  marks[#marks + 1] = key
  marks[#marks + 1] = pack('>c1I4I2c1I2I2I6', op, grant, nonce, state, attempt, left, next_at)
end

local function write_marks(marks_at)
  if #marks == 0 then return end
  local size = call('HLEN', MARK)
  if NOW - tonumber(marks_at) >= MARKS_MS or size >= MARKS_MAX then
    call('UNLINK', MARK_OLD)
    if size > 0 then call('RENAME', MARK, MARK_OLD) end
    call('HSET', Q, 'marks_at', NOW)
    size = 0
  end
  many('HSET', MARK, marks)
  if size == 0 then call('EXPIRE', MARK, MARKS_TTL) end
end
