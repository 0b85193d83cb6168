-- ack: holders of leases finish their tasks.
--
-- ARGV   1 #items  then per item: id, grant, nonce, bytes of the task, result as JSON or ''
-- Reply  "settled", now, then per item one of
--          {"acked"} | {"late"} | {"already"} | {"lost"} | {"unknown"}
--        "absent" when the queue does not exist
-- Moves  leased -> completed; ready -> completed when the lease ran out and nobody was granted the task since
-- Keeps  I3 I4 I7 I8 I9 I10 I25
-- Uses   task lanes settle endings

local state = call('HMGET', Q, 'version', 'order', 'aging_ms', 'completed_total', 'ready', 'marks_at', unpack(ENDING_FIELDS))
if not state[1] then return { 'absent' } end
use_order(state[2], state[3])
local e = { unpack(state, 7) }

local count = tonumber(ARGV[1])
read_holders(2, count, 5)

-- A lease that ran out may still be acked while nothing was decided about the task since.
local function may_be_late(id, m)
  local task = read_record(call('HGET', REC, id))
  local failed, flags = m and m.failed or 0, m and m.flags or 0
  return failed + 1 < task.max_attempts and not has(flags, CANCEL)
end

local reply, leased, returned = { 'settled', NOW }, {}, {}
for i = 1, count do
  local at = 2 + (i - 1) * 5
  local id, grant, nonce = ids[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local expires, m = held(i, grant, nonce)
  local word
  if expires and (expires > NOW or may_be_late(id, m)) then
    word = expires > NOW and 'acked' or 'late'
    leased[#leased + 1] = id
  elseif expires then
    word = 'lost'
  else
    local swept = not scores[i] and muts[i] and read_mut(muts[i])
    if swept and swept.grants == grant and swept.slot == nonce and has(swept.flags, EXPIRED) then
      local task = read_record(call('HGET', REC, id))
      local r = { priority = swept.priority, name = task.name, group = task.group, entry = entry_of(task.tick, id) }
      if check_return(r.priority, r.name, r.group, r.entry) then
        word = 'late'
        returned[#returned + 1] = r
      end
    end
    word = word or judge(id, 'a', grant, nonce)
  end
  if word == 'acked' or word == 'late' then
    finish(id, 'c', grant, tonumber(ARGV[at + 3]), ARGV[at + 4])
    mark(id, 'a', grant, nonce, 'c', 0, 0, 0)
  end
  reply[2 + i] = word
end
if #leaving == 0 then return reply end
check_endings(e)

many('ZREM', LEASED, leased)
for _, r in ipairs(returned) do take_return(r.priority, r.name, r.group, r.entry) end
write_finished(e)
call('HSET', Q, 'completed_total', state[4] + #leaving, 'ready', state[5] - #returned)
write_marks(state[6])
return reply
