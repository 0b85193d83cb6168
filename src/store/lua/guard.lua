-- guard: enqueues that may find that there is nothing to make: of a unique key, or of a request that came before.
-- Uses   task unique repeats replace

local guards, all_or_none, repeat_ms, repeats_max = NONE, false, 0, 0 -- per call
local guarded_made, refused, duplicates = NONE, 0, 0 -- per call

-- Reads what stands at ARGV[at], and what is held and remembered of it; says where the next argument is.
local function read_guards(at)
  local count = tonumber(ARGV[at])
  if count == 0 then return at + 1 end
  guards, guarded_made = {}, {}
  all_or_none, repeat_ms, repeats_max = ARGV[at + 1] == '1', tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  at = at + 4
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
  read_repeats(fields)
  -- The mark of a batch goes before those of its tasks, which say as well with which body it came.
  for _, g in ipairs(repeatable) do known_repeats[g.request] = known_repeats[g.request] or known_repeats[g.field] end
  return at
end

-- State letter and due time, 'g' of a task that is no longer kept. One that waited past its expiry is dead already.
local function state_of(id)
  local made, other = guarded_made[id], swaps[id]
  local rec = not made and call('HGET', REC, id)
  if not made and not rec then return 'g', 0 end
  local run_at = made and made.run_at
  if rec then
    -- Only completed tasks have a result behind these eleven bytes, which may be too long to be read for its first letter.
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

local function refuse(answer)
  refused = refused + 1
  return answer
end

-- The answer to an enqueue that makes no task, or nil. `body` and `way` are its record and its lane.
local function meet(g, body, way, expires_at)
  local came, request = known_repeats[g.field], known_repeats[g.request or '']
  if request and request.body ~= g.body then return refuse({ 'mismatch' }) end
  local holder = holders[g.key]
  -- An earlier try of this very enqueue.
  if (came and came.id == g.id) or holder == g.id then return 0 end
  if came then
    local state, run_at = state_of(came.id)
    return { came.did, came.id, state, run_at, 1 }
  end
  if not holder then return nil end
  local state, run_at = state_of(holder)
  -- Dead, but not buried yet: what its death frees it holds no more.
  if state == 'd' and held_until[g.key] == 0 then return nil end
  duplicates = duplicates + 1
  if g.on_duplicate == 'reject' then return refuse({ 'rejected', holder, state }) end
  local did = 'duplicate'
  if g.on_duplicate == 'replace' and swap(holder, state, guarded_made[holder], g.id, body, way, expires_at) then did = 'replaced' end
  note_repeat(g, holder, did)
  return { did, holder, state, run_at, 0 }
end

-- The task is made: what it holds, and what a repeat will find.
local function made_guarded(g, run_at, at, lane, expires_at)
  guarded_made[g.id] = { run_at = run_at, at = at, lane = lane, expires_at = expires_at }
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
