-- nack: workers report failures; each task is retried later or becomes a dead letter.
--
-- ARGV   1 replica  2 #items  then per item: id, grant, nonce, "1" to retry, delay in ms or '' for backoff,
--          chance in millionths for the jitter, error type, message, stack, "1" if the error was cut, message
--          with numbers and ids masked
-- Reply  "settled", now, how many gates may let tasks through again, then per item
--          {"nacked" | "already", state, attempt, attempts left, next_at or 0[, expires_at when waiting]}
--          | {"lost"} | {"unknown"}
--          state: r ready, s scheduled, d dead, x cancelled
--        "absent" when the queue does not exist
-- Moves  leased -> scheduled | ready | dead | cancelled
-- Keeps  I3 I4 I6 I7 I9 I12 I13 I14 I21 I22
-- Uses   settle retry
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end
local me, count = ARGV[1], tonumber(ARGV[2])
read_leases(3, count, 11)

local reply, ended = { 'settled', NOW, 0 }, {}
for i = 1, count do
  local at = 3 + (i - 1) * 11
  local id, grant, nonce = item_ids[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local expires, m = current_lease(i, grant, nonce)
  if expires and expires > NOW then
    local rec = call('HGET', REC, id)
    local task = read_record(rec)
    m = m or first_mut(task, expires - task.lease_ms)
    local attempt = { number = m.failed + 1, grant = grant, started = m.granted_at, ended = NOW, outcome = NACKED,
      worker = m.worker, kind = ARGV[at + 6], message = ARGV[at + 7], stack = ARGV[at + 8], cut = tonumber(ARGV[at + 9]),
      masked = ARGV[at + 10] }
    local delay = ARGV[at + 4]
    local how = { reject = ARGV[at + 3] ~= '1', chance = tonumber(ARGV[at + 5]) / 1000000, run_at = delay ~= '' and NOW + tonumber(delay) or nil }
    local becomes, next_at = fail(id, m, task, rec, attempt, how)
    local left = becomes == 'd' and 0 or task.max_attempts - m.failed
    m.slot, m.worker = nonce, ''
    keep_mut(id, m)
    mark_step(id, 'n', grant, nonce, becomes, attempt.number, left, next_at)
    ended[#ended + 1] = id
    tally(task.name, task.group, -1)
    judge_of(task.name, m.granted_at, not has(m.flags, CANCEL) and 'failure' or nil)
    reply[3 + i] = { 'nacked', becomes, attempt.number, left, next_at, next_at > 0 and task.expires_at or nil }
  else
    local word, was
    if expires then word = 'lost' else word, was = judge(id, 'n', grant, nonce) end
    reply[3 + i] = word == 'already' and { word, was.state, was.attempt, was.left, was.next_at } or { word }
  end
end
if #ended == 0 then return reply end
check_writes()
check_marks()

reply[3] = write_decisions(me, ended)
write_marks()
write_queue()
return reply
