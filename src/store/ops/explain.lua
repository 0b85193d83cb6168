-- explain: why a waiting task is not running, and how many are ahead of it in its lane.
--
-- ARGV   1 id  2 how many ahead are counted exactly
-- Reply  "scheduled", now, due at, "1" when a failed attempt delays it, "1" when a release with retry_after
--          did, then reasons
--        "ready", now, how many ahead, "1" when there are more, lanes of its group with an earlier head,
--          groups with an earlier turn, leased tasks, when one was last granted or 0, replicas with waiters,
--          then reasons
--        "other" when it does not wait, has expired and is not buried yet, or is gone
--        "absent" when the queue does not exist
--        A reason blocks the task: {q | n | g, why, when to look again or 0}. A scheduled task has only a
--          pause of leases.
-- Keeps  I28: reads at most twice as many entries as it counts
-- Uses   paused rotation gates task lanes history expiry
-- Flags  no-writes

if not read_queue() then return { 'absent' } end
local id, most = ARGV[1], tonumber(ARGV[2])
local pause = is_paused(PAUSE_LEASE) and { 'q', 'paused', queue.paused_until } or nil
local rec, bytes = call('HGET', REC, id), call('HGET', MUT, id)
if not rec then return { 'other' } end
local m, task = bytes and read_mut(bytes), read_record(rec)

local due = call('ZSCORE', DUE, id)
if due and not has_expired(task) then
  local history = m and call('HGET', HIST, id)
  local _, failed_grant = unpack_bytes('>I2I4', history and last_attempt(history) or pack('>I2I4', 0, 0))
  local failed = m and m.grants > 0 and failed_grant == m.grants
  return { 'scheduled', NOW, due, failed and 1 or 0, m and not failed and m.deferrals > 0 and 1 or 0, pause }
end
if has_expired(task) or call('ZSCORE', LEASED, id) or call('ZSCORE', DEAD, id) or call('HEXISTS', RES, id) == 1 then return { 'other' } end

local priority = m and m.priority or task.priority
local member = format('%d/%s', priority, task.name)
local lane = member .. '/' .. task.group
local back = ROOT .. 'back:' .. lane
local returned = call('ZSCORE', back, entry_of(task.tick, id))
local place = tonumber(returned or task.tick)
local ahead = returned and call('ZRANK', back, entry_of(task.tick, id)) or call('ZCOUNT', back, '-inf', format('(%d', place))

-- Counts fresh entries before the task, without stale ones, whose tasks have a mutable part or are gone.
local looked, done, PAGE = 0, false, 200
while not done and ahead <= most and looked < 2 * most do
  local page, ids = call('LRANGE', ROOT .. 'fresh:' .. lane, looked, looked + PAGE - 1), {}
  for i, entry in ipairs(page) do
    if unpack_bytes('>I7', entry) >= place then
      done = true
      break
    end
    ids[i] = sub(entry, 8)
  end
  local muts = #ids > 0 and call('HMGET', MUT, unpack(ids)) or {}
  for i = 1, #ids do
    if not muts[i] and call('HEXISTS', REC, ids[i]) == 1 then ahead = ahead + 1 end
  end
  looked, done = looked + #page, done or #page < PAGE
end
local more = ahead > most or not done

local score, head = order_score(priority, place), tonumber(call('ZSCORE', heads_of(task.group), member) or math.huge)
local lanes = call('ZCOUNT', heads_of(task.group), '-inf', format('(%.17g', score))
if head < score then lanes = lanes - 1 end
local reply = { 'ready', NOW, min(ahead, most), more and 1 or 0, lanes, call('ZRANK', TURN, task.group) or 0,
  call('ZCARD', LEASED), queue.leased_at, queue.hungry, pause }
for _, scope in ipairs(gated() and { 'q', 'n' .. task.name, 'g' .. task.group } or NONE) do
  local gate = gate_of(scope)
  if gate.left < 1 then reply[#reply + 1] = { sub(scope, 1, 1), gate.reason, gate.at < FAR and gate.at or 0 } end
end
return reply
