-- guard: enqueues that may find that there is nothing to create, because of a unique key or an earlier
-- request.
-- Uses   task unique repeats replace intake naming

local guards, repeat_ms, repeats_max = NONE, 0, 0 -- per call
local guarded_made, refused, duplicates = NONE, 0, 0 -- per call

-- Reads the guards from ARGV[at], then the holders and marks that they may meet. Returns the index of the
-- next argument.
local function read_guards(at)
  local count = tonumber(ARGV[at])
  if count == 0 then return at + 1 end
  guards, guarded_made = {}, {}
  repeat_ms, repeats_max = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  local keys, fields, repeatable = {}, {}, {}
  for _ = 1, count do
    local g = { id = ARGV[at], key = ARGV[at + 1], ttl = tonumber(ARGV[at + 2]), on_duplicate = ARGV[at + 3], field = ARGV[at + 4], body = ARGV[at + 5] }
    at = at + 6
    guards[g.id] = g
    if g.key ~= '' then keys[#keys + 1] = g.key end
    if g.field ~= '' then
      g.request = sub(g.field, 1, 16)
      repeatable[#repeatable + 1] = g
      fields[#fields + 1] = g.field
      if g.request ~= g.field then fields[#fields + 1] = g.request end
    end
  end
  read_key_holders(keys)
  read_repeats(fields, repeatable)
  return at
end

-- Returns the state letter and the due time of a task, 'g' if it is no longer kept. A task that waited past
-- its expiry is already dead.
local function state_of(id)
  local made, other = guarded_made[id], swaps[id]
  local rec = not made and call('HGET', REC, id)
  if not made and not rec then return 'g', 0 end
  local run_at = made and made.run_at
  if rec then
    -- Only completed tasks have a result after these eleven bytes. It may be too long to read just for its
    -- first letter.
    local ending = call('HSTRLEN', RES, id)
    if ending > 11 then return 'c', 0 end
    if ending > 0 then return sub(call('HGET', RES, id), 1, 1), 0 end
    if call('ZSCORE', LEASED, id) then return 'l', 0 end
    run_at = tonumber(call('ZSCORE', DUE, id) or 0)
    if run_at == 0 and call('ZSCORE', DEAD, id) then return 'd', 0 end
  end
  local expires_at
  if other then expires_at = other.expires_at elseif made then expires_at = made.expires_at else expires_at = expiry_of(rec) end
  if expires_at and expires_at <= NOW then return 'd', 0 end
  return run_at > 0 and 's' or 'r', run_at
end

local function note_repeat(g, id, did)
  if g.field == '' then return end
  remember_repeat(g.request, g.body, id, did, repeat_ms)
  remember_repeat(g.field, g.body, id, did, repeat_ms)
end

local function refuse(outcome)
  refused = refused + 1
  return outcome
end

-- Returns the outcome of an enqueue that creates no task, or nil if one is to be created. `body` is its
-- record, `lane` its lane, `payload_bytes` the size of a separate payload.
local function guarded_outcome(g, body, lane, expires_at, payload_bytes)
  local came, request = known_repeats[g.field], known_repeats[g.request or '']
  if request and request.body ~= g.body then return refuse({ 'mismatch' }) end
  local holder = holders[g.key]
  -- An earlier try of the same enqueue created the task.
  if (came and came.id == g.id) or holder == g.id then return 0 end
  if came then
    local state, run_at = state_of(came.id)
    return { came.did, came.id, state, run_at, 1 }
  end
  if not holder then return nil end
  local state, run_at = state_of(holder)
  -- Dead but not buried yet: it no longer holds a key that its death frees.
  if state == 'd' and key_expires[g.key] == 0 then return nil end
  duplicates = duplicates + 1
  if g.on_duplicate == 'reject' then return refuse({ 'rejected', holder, state }) end
  local did = 'duplicate'
  if g.on_duplicate == 'replace' then
    local unnameable = refuses_name(lane.name)
    if unnameable then return refuse(unnameable) end
    local can = swap(holder, state, guarded_made[holder], g.id, body, lane, expires_at, payload_bytes)
    if can == 'full' then return refuse(FULL_OF_BYTES) end
    if can then
      did = 'replaced'
      note_name(lane.name, 0)
    end
  end
  note_repeat(g, holder, did)
  return { did, holder, state, run_at, 0 }
end

-- Notes a created task: its key, and the mark for a repeat.
local function note_made(g, run_at, at, lane, expires_at, rec, bytes)
  guarded_made[g.id] = { run_at = run_at, at = at, lane = lane, expires_at = expires_at, rec = rec, bytes = bytes }
  if g.key ~= '' then take_key(g.key, g.id, g.ttl) end
  note_repeat(g, g.id, 'made')
end

local function has_guarded_writes() return duplicates > 0 or #new_repeats > 0 end

local function plan_guarded(records)
  if guards == NONE then return end
  if has_guarded_writes() then call('HLEN', Q) end
  plan_swaps(records)
  if #taken_keys > 0 then plan_old_keys(#taken_keys + 16) end
  if #new_repeats > 0 then plan_old_repeats(min(#new_repeats + 16, 900), repeats_max) end
end

local function write_guarded()
  if guards == NONE then return end
  write_swaps()
  write_keys()
  write_repeats()
  if duplicates > 0 then call('HINCRBY', Q, 'duplicates_total', duplicates) end
end
