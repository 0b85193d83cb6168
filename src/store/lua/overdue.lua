-- overdue: tasks that waited past their expires_at become dead letters.
-- Uses   waiting expiry retry

-- Ready tasks among the buried ones.
local buried_ready = 0 -- per call

-- `t` has id, rec, task, bytes (its mutable part or false) and state (r ready, s scheduled).
local function bury_waiting(t)
  local m = t.bytes and read_mut(t.bytes) or untouched(t.task)
  if t.state == 'r' then buried_ready = buried_ready + 1 end
  depart(t)
  cannot_expire(t.id)
  die(t.id, m, t.task, t.rec, 'expired')
  keep_mut(t.id, m)
end

-- Buries the `limit` tasks that expired first. Returns them as a set. Stale entries are dropped.
local function bury_overdue(limit)
  local buried_ids, ids = {}, call('ZRANGEBYSCORE', EXPIRY, '-inf', NOW, 'LIMIT', 0, limit)
  if #ids == 0 then return buried_ids end
  local recs, muts = call('HMGET', REC, unpack(ids)), call('HMGET', MUT, unpack(ids))
  local due, leased, dead = call('ZMSCORE', DUE, unpack(ids)), call('ZMSCORE', LEASED, unpack(ids)), call('ZMSCORE', DEAD, unpack(ids))
  for i, id in ipairs(ids) do
    if recs[i] and not leased[i] and not dead[i] and call('HEXISTS', RES, id) == 0 then
      buried_ids[id] = true
      bury_waiting({ id = id, rec = recs[i], task = read_record(recs[i]), bytes = muts[i], state = due[i] and 's' or 'r' })
    else
      cannot_expire(id)
    end
  end
  return buried_ids
end
