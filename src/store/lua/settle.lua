-- settle: finds the current lease of a task, and decides what a lease gets that is not current.
-- The ids of one call are distinct: the caller sends a second operation on one task in a later call.
-- Uses   task marks history

local item_ids, item_scores, item_muts = NONE, NONE, NONE -- per call

-- Reads the leases of `count` items. An item has `width` arguments, first the id of its task.
local function read_leases(from, count, width)
  item_ids = {}
  for i = 1, count do item_ids[i] = ARGV[from + (i - 1) * width] end
  item_scores = call('ZMSCORE', LEASED, unpack(item_ids))
  item_muts = call('HMGET', MUT, unpack(item_ids))
end

-- Returns the expiry and the mutable part of an item's lease if it is the task's current one.
local function current_lease(i, grant, nonce)
  if not item_scores[i] then return nil end
  local expires, its_nonce = read_score(item_scores[i])
  if nonce ~= its_nonce then return nil end
  if not item_muts[i] then
    if grant ~= 1 then return nil end
    return expires, nil
  end
  local m = read_mut(item_muts[i])
  if grant ~= m.grants then return nil end
  return expires, m
end

local function mark_at(key)
  local value = call('HGET', MARK, key) or call('HGET', MARK_OLD, key)
  if not value then return nil end
  local m = {}
  m.op, m.grant, m.nonce = unpack_bytes('>c1I4I2', value)
  if m.op ~= 'a' then m.state, m.attempt, m.left, m.next_at = unpack_bytes('>c1I2I2I6', value, 8) end
  return m
end

-- Returns 'already' with the mark of what the lease did, 'lost' or 'unknown'. Without a mark a lease is lost
-- if it is known that it was not settled: it ran out, or the task never had it (Redis lost the grant and
-- grants its number again).
local function judge(id, op, grant, nonce)
  local step = mark_at(id .. pack('>I4', grant))
  if step and step.nonce == nonce then return step.op == op and 'already' or 'lost', step end
  local final = mark_at(id)
  if final then
    return op == 'a' and final.grant == grant and final.nonce == nonce and 'already' or 'lost', final
  end
  if call('HEXISTS', REC, id) == 0 or sub(call('HGET', RES, id) or '', 1, 1) == 'c' then return 'unknown' end
  local bytes = call('HGET', MUT, id)
  local m = bytes and read_mut(bytes)
  if not m or grant > m.grants then return 'lost' end
  if grant == m.grants and (m.slot ~= nonce or call('ZSCORE', LEASED, id)) then return 'lost' end
  return ran_out(call('HGET', HIST, id), grant) and 'lost' or 'unknown'
end

local function mark_step(id, op, grant, nonce, state, attempt, left, next_at)
  mark(id .. pack('>I4', grant), pack('>c1I4I2c1I2I2I6', op, grant, nonce, state, attempt, left, next_at))
end
