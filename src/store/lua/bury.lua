-- bury: tasks become dead letters, and dead letters leave.
--
--   DEAD  zset  died_at -> id; the reason is in the mutable part
-- Uses   task marks finish deaths followed

local REASONS = { attempts_exhausted = 1, rejected = 2, expired = 3 }
local DROP_MAX = 400 -- dead letters that one call evicts
local buried = NONE -- per call

-- Makes a task a dead letter. The caller writes the mutable part and the queue. `cause` has the kind and the
-- message of the last error, and `masked` if the message may contain numbers and ids.
local function bury(id, m, reason, name, cause)
  m.flags = m.flags % REASON + REASONS[reason] * REASON
  queue.unfinished_bytes = queue.unfinished_bytes - call('HSTRLEN', REC, id) - call('HSTRLEN', PAY, id)
  queue.died_total = queue.died_total + 1
  if buried == NONE then buried = {} end
  buried[#buried + 1] = { id = id, name = name, kind = cause.kind, message = cause.masked or cause.message }
end

-- Marks dead letters whose tasks were accepted lately: their enqueue may be repeated and must not create them
-- anew.
local function mark_young(ids)
  local young, since = {}, NOW - MARKS_MS
  for from = 1, #ids, 900 do
    for i, died_at in ipairs(call('ZMSCORE', DEAD, unpack(ids, from, min(from + 899, #ids)))) do
      if died_at and tonumber(died_at) > since then young[#young + 1] = ids[from + i - 1] end
    end
  end
  for _, id in ipairs(young) do
    local rec, mut = call('HGET', REC, id), call('HGET', MUT, id)
    if rec and unpack_bytes('>I7', rec) > since * PLACES then mark_left(id, 'p', mut and unpack_bytes('>I4', mut) or 0) end
  end
end

-- Reads what a leave writes. `ids` are those that an operator removes, nil if a bound evicts.
local function check_leave(ids)
  call('ZCARD', DEAD)
  call('ZCARD', ALIKE)
  for _, key in ipairs({ Q, REC, PAY, MUT, HIST, RES, LETTER, PRINT }) do call('HLEN', key) end
  if ids then mark_young(ids) end
end

-- Removes dead letters from the index, their groups and the sum of bytes. The records stay.
local function unlist_dead(ids)
  local members, prints, freed = {}, {}, 0
  for from = 1, #ids, 900 do
    local last = min(from + 899, #ids)
    local letters, died = call('HMGET', LETTER, unpack(ids, from, last)), call('ZMSCORE', DEAD, unpack(ids, from, last))
    for i, letter in ipairs(letters) do
      if letter and died[i] then
        local print = sub(letter, 5)
        members[#members + 1] = alike_member(print, died[i], ids[from + i - 1])
        prints[print] = true
        freed = freed + unpack_bytes('>I4', letter)
      end
    end
  end
  many('ZREM', DEAD, ids)
  many('HDEL', LETTER, ids)
  many('ZREM', ALIKE, members)
  for print in pairs(prints) do
    if not has_letters(print) then call('HDEL', PRINT, print) end
  end
  call('HINCRBY', Q, 'dead_bytes', -freed)
end

-- Removes dead letters for an operator. `ids` are distinct dead letters. The caller calls check_leave(ids)
-- and check_marks() before its first write and write_marks() after it, and counts the reason.
local function leave_dead(ids)
  if #ids == 0 then return end
  unlist_dead(ids)
  forget(ids)
end

-- Removes dead letters that a bound evicts. Those with followers stay visible until the wait is over.
local function drop_dead(ids, total)
  if #ids == 0 then return end
  local free, lingering = split_followed(ids)
  local ends = {}
  for _, id in ipairs(lingering) do
    ends[#ends + 1] = id
    ends[#ends + 1] = DIED .. pack('>I6', call('ZSCORE', DEAD, id)) .. sub(call('HGET', MUT, id), 1, 4)
  end
  unlist_dead(ids)
  forget(free)
  many('HSET', RES, ends)
  call('HINCRBY', Q, total, #ids)
end

-- Evicts the oldest dead letters until dead_max_size and dead_max_bytes hold. Returns whether more must go
-- than one call evicts.
local function evict_dead()
  local count, bytes = dead_size()
  local function over() return count > queue.dead_max_size or bytes > queue.dead_max_bytes end
  if count == 0 or not over() then return false end
  local oldest, leaving = call('ZRANGE', DEAD, 0, DROP_MAX - 1), {}
  local letters = call('HMGET', LETTER, unpack(oldest))
  for i, id in ipairs(oldest) do
    if not over() then break end
    leaving[i] = id
    count, bytes = count - 1, bytes - LETTER_COST - (letters[i] and unpack_bytes('>I4', letters[i]) or 0)
  end
  drop_dead(leaving, 'dead_evicted_total')
  return count > 0 and over()
end

-- Removes dead letters that are too old. Returns whether there may be more.
local function age_dead()
  local old = call('ZRANGEBYSCORE', DEAD, '-inf', NOW - queue.dead_max_age_ms, 'LIMIT', 0, DROP_MAX)
  drop_dead(old, 'dead_aged_total')
  return #old == DROP_MAX
end

-- Writes the new dead letters. Called after all other writes of these tasks, so that their bytes can be
-- counted.
local function write_buried()
  if #buried == 0 then return end
  local ids, died, letters, members, bytes = {}, {}, {}, {}, 0
  for i, b in ipairs(buried) do
    local id, size = b.id, 0
    for _, key in ipairs({ REC, PAY, MUT, HIST }) do size = size + call('HSTRLEN', key, id) end
    local print, n = counted_print(b.name, b.kind, b.message), 2 * i - 1
    ids[i] = id
    died[n], died[n + 1] = NOW, id
    letters[n], letters[n + 1] = id, pack('>I4', size) .. print
    members[n], members[n + 1] = 0, alike_member(print, NOW, id)
    bytes = bytes + size
  end
  many('ZADD', DEAD, died)
  many('HSET', LETTER, letters)
  many('ZADD', ALIKE, members)
  call('HINCRBY', Q, 'dead_bytes', bytes)
  tell_followers(ids)
  evict_dead()
end
