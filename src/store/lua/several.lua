-- several: leases from many groups and lanes.
-- Uses   parked moves counts task

-- Chooses first, then reads the chosen tasks. Entries of tasks that moved on are stale: they are dropped and
-- replaced. The same goes for tasks past their expiry, which the sweep buries. Returns ids, records, mutable
-- parts, a function that takes the tasks, and 1 if another call is due.
local function several(names, wanted, bytes_max)
  local gate = gated() and gate_of('q')
  if gate then wanted = min(wanted, gate.left) end
  local candidates, first = wanted > 0 and open_candidates(wanted, names) or {}, 1
  local chosen, looked, bytes, more = {}, 0, 0, 0
  local ids, records, muts = {}, {}, {}
  while #ids < wanted and looked < wanted + 1000 and (first <= #candidates or (more_candidates and more_candidates(candidates, first))) and more == 0 do
    first = choose(candidates, first, min(wanted - #ids, 256))
    if picked == looked and first <= #candidates then break end
    local page = {}
    for i = looked + 1, picked do page[i - looked] = sub(pick_entry[i], 8) end
    local recs, changed = NONE, NONE
    if #page > 0 then recs, changed = call('HMGET', REC, unpack(page)), call('HMGET', MUT, unpack(page)) end
    for i = looked + 1, picked do
      local id, rec, mut = page[i - looked], recs[i - looked], changed[i - looked]
      if rec and (pick_returned[i] or not mut) and (expiry_of(rec) or math.huge) > NOW then
        local size = #rec
        if has(byte(rec, FLAGS_AT), BIG) then size = size + call('HSTRLEN', PAY, id) end
        if #ids > 0 and bytes + size > bytes_max then
          more, picked = 1, i - 1
          break
        end
        bytes = bytes + size
        local n = #ids + 1
        ids[n], records[n], muts[n], chosen[i] = id, rec, mut, true
      else
        local l = pick_lane[i]
        l.g.pass = l.g.pass - l.g.stride
        if not pick_returned[i] then l.stale = (l.stale or 0) + 1 end
        if l.gate then
          l.gate.left, l.g.gate.left = l.gate.left + 1, l.g.gate.left + 1
          -- The entry was stale, so its token is free again. The next call retries the lane.
          if l.gate.left == 1 or l.g.gate.left == 1 then more = 1 end
        end
      end
    end
    looked = picked
  end
  if (#ids == 0 and picked > 0) or (parking_steps >= PARKED_MAX and #ids < wanted) then more = 1 end

  -- Counts what each lane gave, and the turns of each group. A cut by bytes makes them fewer than were drawn.
  local lanes, groups = {}, {}
  for i = 1, picked do
    local l = pick_lane[i]
    if not l.took then
      l.took = 0
      lanes[#lanes + 1] = l
      if l.stale then call('HLEN', STALE) end
    end
    if pick_returned[i] then l.took_back = l.took_back + 1 else l.took = l.took + 1 end
    if not l.g.turns then
      l.g.turns = 0
      groups[#groups + 1] = l.g
    end
    if chosen[i] then
      l.g.turns = l.g.turns + 1
      l.gave = (l.gave or 0) + 1
    end
  end
  for _, l in ipairs(lanes) do
    if l.gave then
      tally(l.name, l.group, l.gave)
      if gate then pass_gate(l.gate, l.gave) end
    end
  end
  if gate then
    for _, g in ipairs(groups) do
      if g.turns > 0 then pass_gate(g.gate, g.turns) end
    end
    pass_gate(gate, #ids)
    plan_returns()
  end

  check_moves(lanes)
  check_moves(blocked_lanes)

  return ids, records, muts, function()
    for _, l in ipairs(lanes) do
      -- A list that is now empty is deleted together with those of other lanes.
      local list = l.took > 0 and l.key
      l.list = not l.place and more == 0 and list
      if list and not l.list then take_first(list, l.took) end
      if l.stale and call('HINCRBY', STALE, l.lane, -l.stale) <= 0 then call('HDEL', STALE, l.lane) end
      if l.took_back > 0 then call('ZREMRANGEBYRANK', ROOT .. 'back:' .. l.lane, '0', numeral(l.took_back - 1)) end
    end
    for name, late in pairs(lagging_lanes) do many('ZADD', names_of(name), late, 'XX') end
    for _, g in ipairs(groups) do
      if g.turns > 0 then queue.round = max(queue.round, g.start + (g.turns - 1) * g.stride) end
    end
    if more == 1 then
      for _, l in ipairs(lanes) do l.place = head_place(l.lane) end
    end
    if gate then return write_places(lanes) end
    for _, l in ipairs(lanes) do
      if not l.place then lane_ends(l, l.list)
      elseif has_rivals(l) then lane_moves(l, order_score(l.priority, l.place)) end
    end
    write_lanes()
    for _, g in ipairs(groups) do
      if g.turns > 0 and not g.ended then group_moves(g, g.start + g.turns * g.stride) end
    end
    write_turns()
  end, more
end
