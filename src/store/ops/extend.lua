-- extend: workers prolong their leases.
--
-- ARGV   1 #items  then per item: id, grant, nonce, lease_ms or '' for the grant's, progress as JSON or ''
-- Reply  "settled", now, 0, then per item
--          {"extended", expires_at, "1" when a cancel was requested} | {"lost"} | {"unknown"}
--        "absent" when the queue does not exist
-- Keeps  I6 I7 I11: counts from now; shortens only if a shorter length is stated; never goes past
--          max_lease_ms since the grant
-- Uses   task settle
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end
local count = tonumber(ARGV[1])
read_leases(2, count, 5)

local reply, leases, changed = { 'settled', NOW, 0 }, {}, {}
for i = 1, count do
  local at = 2 + (i - 1) * 5
  local id, grant, nonce = item_ids[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local expires, m = current_lease(i, grant, nonce)
  if expires and expires > NOW then
    if not m then
      local task = read_record(call('HGET', REC, id))
      m = first_mut(task, expires - task.lease_ms)
    end
    local stated = ARGV[at + 3] ~= '' and NOW + tonumber(ARGV[at + 3])
    local until_ms = stated
    if not stated or stated > expires then
      until_ms = max(expires, min(stated or NOW + m.slot, m.granted_at + queue.max_lease_ms))
    end
    if ARGV[at + 4] ~= '' then m.progress = ARGV[at + 4] end
    leases[#leases + 1] = until_ms * PLACES + nonce
    leases[#leases + 1] = id
    changed[#changed + 1] = id
    changed[#changed + 1] = write_mut(m)
    reply[3 + i] = { 'extended', until_ms, has(m.flags, CANCEL) and 1 or 0 }
  else
    reply[3 + i] = { expires and 'lost' or judge(id, 'e', grant, nonce) }
  end
end
if #leases == 0 then return reply end

many('ZADD', LEASED, leases)
many('HSET', MUT, changed)
return reply
