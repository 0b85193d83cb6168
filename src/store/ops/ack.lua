-- ack: workers finish tasks that they have leased.
--
-- ARGV   1 #items  then per item: bytes of the task (4) .. id (14) .. grant (4) .. nonce (2) .. any byte if
--          it frees a unique key; result as JSON or ''
-- Reply  "settled", now, how many gates may let tasks through again, then per item one of
--          {"acked"} | {"late"} | {"already"} | {"lost"} | {"unknown"}
--        "absent" when the queue does not exist
-- Moves  leased -> completed; ready | scheduled -> completed if the lease ran out and the task was not
--          granted since
-- Keeps  I3 I4 I7 I8 I9 I10 I15 I21 I22 I25
-- Uses   unique marks counts finish late
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end

local last = 2 * tonumber(ARGV[1])
local ids, n = {}, 0
for at = 2, last, 2 do
  n = n + 1
  ids[n] = sub(ARGV[at], 5, 18)
end
local scores = call('ZMSCORE', LEASED, unpack(ids))
local muts = call('EXISTS', MUT) == 1 and call('HMGET', MUT, unpack(ids)) or {}

local records = NONE
local function record_of(i)
  if records == NONE then records = call('HMGET', REC, unpack(ids)) end
  return records[i]
end

-- Counts the end of the leases of these items. Returns the stored counts that it has read, for
-- write_counts(), or nil. If all leased tasks have one name and one group, the counts tell which; otherwise
-- the records do.
local function count_out(items)
  if #items == 0 then return nil end
  local counts = call('HRANDFIELD', COUNTS, '3', 'WITHVALUES')
  local one, other = counts[1], counts[3]
  if #counts == 2 or (#counts == 4 and counts[2] == counts[4] and byte(one) ~= byte(other)) then
    local known = { [one] = counts[2] }
    if other then known[other] = counts[4] end
    if other and byte(one) == GROUP_SCOPE then one, other = other, one end
    tally(sub(one, 2), other and sub(other, 2) or '', -#items)
    return known
  end
  for _, i in ipairs(items) do
    local rec = record_of(i)
    if rec then
      local name, group = lane_of(rec)
      tally(name, group, -1)
    end
  end
end

local reply, leased, leased_items, returned = { 'settled', NOW, 0 }, {}, {}, {}
for i = 1, n do
  local item, id, word = ARGV[2 * i], ids[i], nil
  local proof = sub(item, 19, 24)
  if scores[i] and not muts[i] then
    -- The usual task: its first lease, still current.
    local expires, nonce = read_score(scores[i])
    if expires > NOW and proof == pack('>I4I2', 1, nonce) then word = 'acked' end
  end
  if not word then
    word = judge_ack(id, scores[i], muts[i], unpack_bytes('>I4I2', proof))
  end
  if word == 'acked' or (word == 'late' and scores[i]) then
    leased[#leased + 1] = id
    leased_items[#leased] = i
  end
  if word == 'late' and not scores[i] then returned[#returned + 1] = id end
  if word == 'acked' or word == 'late' then
    finish(COMPLETED, sub(item, 1, 18), side_bytes_of(id, muts[i]), sub(item, 19, 22), ARGV[2 * i + 1])
    mark(id, 'a' .. proof)
    if scores[i] and queue.limited >= BREAKERS then
      local task = read_record(record_of(i))
      local granted_at = muts[i] and read_mut(muts[i]).granted_at or read_score(scores[i]) - task.lease_ms
      judge_of(task.name, granted_at, word == 'acked' and 'success' or nil)
    end
    if #item > 24 then free_unique(id, call('HGET', REC, id)) end
  end
  reply[3 + i] = word
end
if finishes == 0 then return reply end
local known_counts = count_out(leased_items)
check_finish()
check_marks()
check_gates()

reply[3] = write_counts(known_counts)
write_gates()
many('ZREM', LEASED, leased)
write_freed()
if #returned > 0 then
  take_late()
  queue.ready = queue.ready - #late_returns
end
write_finished()
write_marks()
queue.completed_total = queue.completed_total + finishes
wake('', reply[3])
write_queue()
return reply
