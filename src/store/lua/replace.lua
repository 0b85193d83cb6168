-- replace: gives a task that was never granted another payload and other options. It keeps its id, place, due
-- time and key. When it expires is one of the options.
-- Uses   task lanes expiry waiting intake

local swaps, swapped = NONE, NONE -- per call
local payload_goes_to, payload_dropped = NONE, NONE -- per call
local swap_muts, swap_payloads = NONE, NONE -- per call

-- Returns a record with `body` in place of its own.
local function rewritten(rec, old, body, expires_at)
  local new = sub(rec, 1, 7) .. timed(body, old.run_at or 0, expires_at)
  local at = read_record(new).scope_at
  return sub(new, 1, at - 1) .. old.scope .. sub(new, at + 1)
end

-- Notes that `item`, an enqueue with this body, lane and expiry, replaces the task `id`, which is in `state`.
-- `made` describes that task if this call created it; `payload_bytes` is the size of a separate payload.
-- Returns false if the task cannot be replaced, 'full' if it would be too large for the queue.
local function swap(id, state, made, item, body, lane, expires_at, payload_bytes)
  if state ~= 'r' and state ~= 's' then return false end
  local s = swaps[id]
  if not s then
    local mut = not made and call('HGET', MUT, id)
    if mut and read_mut(mut).grants > 0 then return false end
    local rec = made and made.rec or call('HGET', REC, id)
    s = { id = id, state = state, made = made, mut = mut, rec = rec, old = read_record(rec), bytes = made and made.bytes or bytes_of(id, rec) }
  end
  local new = rewritten(s.rec, s.old, body, expires_at)
  local bytes = #new + payload_bytes
  if not change_bytes(bytes - s.bytes) then return 'full' end
  if swaps == NONE then
    swaps, swapped, payload_goes_to, payload_dropped = {}, {}, {}, {}
    swap_muts, swap_payloads = {}, {}
  end
  if swaps[id] then
    payload_goes_to[s.item] = nil
  else
    swaps[id], swapped[#swapped + 1] = s, s
    payload_dropped[id] = true
  end
  s.item, s.new, s.bytes, s.lane, s.expires_at = item, new, bytes, lane, expires_at
  payload_goes_to[item] = id
  return true
end

-- Moves a task that this call created and has not written yet. Its entry leaves the list of its lane, or the
-- arrivals if it expires. It enters the other lane, whose list is ordered by tick.
local function move_made(s, old)
  local entry, from, to = entry_of(old.tick, s.id), s.made.lane, s.lane
  if from == to and not old.expires_at == not s.expires_at then return end
  if old.expires_at then
    withdraw(from.lane, entry)
  else
    for i = #from.fresh, 1, -1 do
      if from.fresh[i] == entry then table.remove(from.fresh, i) end
    end
    from.lowest = from.fresh[1] and unpack_bytes('>I7', from.fresh[1])
  end
  if s.expires_at then
    arrive(to.priority, to.name, to.group, old.tick, entry)
  else
    local at = #to.fresh
    while at > 0 and unpack_bytes('>I7', to.fresh[at]) > old.tick do at = at - 1 end
    table.insert(to.fresh, at + 1, entry)
    to.lowest = unpack_bytes('>I7', to.fresh[1])
  end
end

-- Moves a task that waits in a lane. It leaves that lane as if it were cancelled and arrives in the other one
-- at the same place. A task that was in a fresh list and may expire now arrives in the same lane.
local function move_stored(s, old, m)
  local entry, lane = entry_of(old.tick, s.id), s.lane
  local priority, place = m and m.priority or old.priority, m and m.place or old.place
  local stays = lane.priority == priority and lane.name == old.name and lane.group == old.group
  if stays and (not s.expires_at or call('ZSCORE', ROOT .. 'back:' .. lane.lane, entry)) then return end
  depart({ id = s.id, state = s.state, task = old, bytes = s.mut })
  m = m or untouched(old)
  m.priority = lane.priority
  swap_muts[#swap_muts + 1] = s.id
  swap_muts[#swap_muts + 1] = write_mut(m)
  arrive(lane.priority, lane.name, lane.group, place, entry)
end

-- Plans the writes of the replacements. Records of this call's own tasks are in `records`; the others are
-- added to it. The caller checks arrivals and expiries.
local function plan_swaps(records)
  for _, s in ipairs(swapped) do
    local at, old = s.made and s.made.at or #records + 2, s.old
    records[at - 1], records[at] = s.id, s.new
    if old.expires_at or s.expires_at then expires_otherwise(s.id, s.expires_at) end
    if s.made then
      if s.state == 'r' then move_made(s, old) end
    else
      if has(old.flags, BIG) and not has(byte(records[at], FLAGS_AT), BIG) then swap_payloads[#swap_payloads + 1] = s.id end
      local m = s.mut and read_mut(s.mut)
      if s.state == 'r' then
        move_stored(s, old, m)
      elseif m then
        m.priority = s.lane.priority
        swap_muts[#swap_muts + 1] = s.id
        swap_muts[#swap_muts + 1] = write_mut(m)
      end
    end
  end
  if #swapped == 0 then return end
  call('HLEN', PAY)
  call('HLEN', MUT)
  check_departures()
end

-- Writes the replacements, after everything that enters lanes: the lanes that tasks left are read again. In
-- this order groups keep their turn.
local function write_swaps()
  many('HDEL', PAY, swap_payloads)
  many('HSET', MUT, swap_muts)
  apply_departures()
end
