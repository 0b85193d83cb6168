-- replace: a task that was never granted gets another payload and other options. Its id, its place, its due time and
-- its key stay.
-- Uses   task lanes waiting

local swaps, swapped = NONE, NONE -- per call
local payload_goes_to, payload_dropped = NONE, NONE -- per call
local swap_muts, swap_payloads = NONE, NONE -- per call

-- Notes that `item`, an enqueue with this body and lane, is to be the task `id`, which is in `state`; `made` is where that lies
-- if it was made by this very call. Says whether it can be.
local function swap(id, state, made, item, body, way)
  local s = swaps[id]
  if not s then
    local mut = not made and call('HGET', MUT, id)
    if (state ~= 'r' and state ~= 's') or (mut and read_mut(mut).grants > 0) then return false end
    if swaps == NONE then
      swaps, swapped, payload_goes_to, payload_dropped = {}, {}, {}, {}
      swap_muts, swap_payloads = {}, {}
    end
    s = { id = id, state = state, made = made, mut = mut }
    swaps[id], swapped[#swapped + 1] = s, s
    payload_dropped[id] = true
  else
    payload_goes_to[s.item] = nil
  end
  s.item, s.body, s.way = item, body, way
  payload_goes_to[item] = id
  return true
end

-- The body in the place of a record's own.
local function rewritten(rec, old, body)
  local new = sub(rec, 1, 7) .. (old.run_at and with_run_at(body, old.run_at) or body)
  local at = read_record(new).scope_at
  return sub(new, 1, at - 1) .. old.scope .. sub(new, at + 1)
end

-- Of a task made by this call nothing is written yet: its entry goes to the list of the other lane, which is by tick.
local function move_made(s, old)
  local fresh = s.made.lane.fresh
  local entry = entry_of(old.tick, s.id)
  for i = #fresh, 1, -1 do
    if fresh[i] == entry then table.remove(fresh, i) end
  end
  local at = #s.way.fresh
  while at > 0 and unpack_bytes('>I7', s.way.fresh[at]) > old.tick do at = at - 1 end
  table.insert(s.way.fresh, at + 1, entry)
  s.made.lane.lowest = fresh[1] and unpack_bytes('>I7', fresh[1])
  s.way.lowest = unpack_bytes('>I7', s.way.fresh[1])
  s.made.lane = s.way
end

-- One that waits already leaves its lane as if it were cancelled, and arrives in the other at the place it had.
local function move_stored(s, old, m)
  local entry = entry_of(old.tick, s.id)
  local priority, place = m and m.priority or old.priority, m and m.place or old.place
  if s.way.priority == priority and s.way.name == old.name and s.way.group == old.group then return end
  depart({ id = s.id, state = s.state, task = old, bytes = s.mut })
  if not m then
    m = first_mut(old, 0)
    m.grants = 0
  end
  m.priority = s.way.priority
  swap_muts[#swap_muts + 1] = s.id
  swap_muts[#swap_muts + 1] = write_mut(m)
  arrive(s.way.priority, s.way.name, s.way.group, place, entry)
end

-- Decides what is written; the records of this call's own tasks are in `records`, the others are added there.
local function plan_swaps(records)
  for _, s in ipairs(swapped) do
    local at = s.made and s.made.at or #records + 2
    local rec = s.made and records[at] or call('HGET', REC, s.id)
    local old = read_record(rec)
    records[at - 1], records[at] = s.id, rewritten(rec, old, s.body)
    if s.made then
      if s.state == 'r' and s.made.lane ~= s.way then move_made(s, old) end
    else
      if has(old.flags, BIG) and not has(byte(records[at], 9), BIG) then swap_payloads[#swap_payloads + 1] = s.id end
      local m = s.mut and read_mut(s.mut)
      if s.state == 'r' then
        move_stored(s, old, m)
      elseif m then
        m.priority = s.way.priority
        swap_muts[#swap_muts + 1] = s.id
        swap_muts[#swap_muts + 1] = write_mut(m)
      end
    end
  end
  if #swapped == 0 then return end
  call('HLEN', PAY)
  call('HLEN', MUT)
  check_arrivals()
  check_departures()
end

-- Behind everything else that enters lanes: what these are left with is looked at again. In this order groups keep their turn.
local function write_swaps()
  many('HDEL', PAY, swap_payloads)
  many('HSET', MUT, swap_muts)
  apply_arrivals()
  apply_departures()
end
