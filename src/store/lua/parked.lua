-- parked: lanes and groups leave the rotation when a gate blocks them, and come back later. A blocked lane is
-- parked when a lease finds it. The first lease after the gate opens brings lanes back: at once the lane it
-- takes from, the others in steps once every parked lane could get a token.
-- Uses   candidates lanes moves

-- Plans the return of parked lanes of names that may grant at least as many tasks as they have parked lanes.
local function plan_returns()
  for _, name in ipairs(reopened_names) do
    local gate, parked = gate_of('n' .. name), parked_lanes(name)
    if parked > 0 and gate.left >= parked and parking_steps < PARKED_MAX then
      local page = call('ZRANGE', names_of(name), 0, min(parked, PARKED_MAX - parking_steps) - 1)
      for _, lane in ipairs(page) do
        local priority, group = string.match(lane, '^(%d+)/(.*)$')
        local g = read_group(group)
        if g.pass then return_lane(g, priority .. '/' .. name, name) end
      end
      parking_steps = parking_steps + #page
    end
  end
end

-- Writes everything that a call looked at to where it now belongs: lanes that gave, blocked lanes, their
-- groups, and the gates to look at again.
local function write_places(lanes)
  local placed, looks, over = {}, {}, {}

  local function look_at(gate)
    looks[#looks + 1] = gate.at
    looks[#looks + 1] = gate.scope
  end

  local function pass_after(g) return (g.turns or 0) > 0 and g.start + g.turns * g.stride or g.stored_pass or g.pass end

  -- `place` is the place of its first entry, or nil if it has none.
  local function place_lane(l, place)
    placed[l.lane], l.g.touched = true, true
    if not place then return lane_ends(l, l.list) end
    if l.gate.left < 1 then
      lane_moves(l, 'inf')
      lane_turns(l, pass_after(l.g) - PARKED)
      look_at(l.gate)
    else
      l.g.open = true
      if has_rivals(l) then lane_moves(l, order_score(l.priority, place)) end
      if l.parked then lane_turns(l, pass_after(l.g)) end
    end
  end

  -- A group has a turn unless it is blocked itself, or all its lanes are.
  local function place_group(g)
    if g.ended then return end
    local shut = g.gate.left < 1
    if shut then look_at(g.gate) end
    if not shut and not g.open then
      local head = call('ZRANGE', heads_of(g.group), 0, 0, 'WITHSCORES')
      if not head[1] then return end
      shut = head[2] == 'inf'
    end
    group_moves(g, pass_after(g) + (shut and PARKED or 0))
  end

  -- Returns whether tasks wait behind a gate that is still shut.
  local function is_waited_for(gate)
    local kind, of = sub(gate.scope, 1, 1), sub(gate.scope, 2)
    if gate.held > NOW or (gate.breaker and gate.breaker.state == OPEN) then return true end
    if kind == 'n' then return parked_lanes(of) > 0 end
    return kind == 'g' and call('ZSCORE', TURN, of) or kind == 'q' and queue.ready > 0
  end

  for _, l in ipairs(lanes) do
    place_lane(l, l.place)
  end
  for _, l in ipairs(blocked_lanes) do
    if not placed[l.lane] and not l.parked and l.gate.left < 1 then place_lane(l, true) end
  end
  for _, l in ipairs(returning_lanes) do
    local lane = l.member .. '/' .. l.group
    if not placed[lane] and l.place then
      local g = read_group(l.group)
      placed[lane], g.touched, g.open = true, true, true
      lane_moves(l, order_score(l.priority, l.place))
      lane_turns(l, l.pass)
    end
  end
  write_lanes()
  for _, g in pairs(groups_read) do
    if g.pass and (g.touched or g.due or (g.blocked and not g.parked)) then place_group(g) end
  end
  write_turns()
  for _, gate in ipairs(due_gates) do
    if gate.left < 1 and is_waited_for(gate) then
      look_at(gate)
    elseif gate.left < 1 or byte(gate.scope) ~= NAME_SCOPE or parked_lanes(sub(gate.scope, 2)) == 0 then
      over[#over + 1] = gate.scope
    end
  end
  local gate = gate_of('q')
  if gate.left < 1 and queue.ready > 0 then look_at(gate) end
  many('ZREM', SHUT, over)
  many('ZADD', SHUT, looks)
  if #over + #looks > 0 then queue.shut = call('ZCARD', SHUT) end
end

-- Returns why the call got fewer tasks than it wanted, and when to look again or 0: that of the shut gate
-- that opens first, among those with ready tasks of these names.
local function why_not_more(names)
  if queue.ready == 0 then return '', 0 end
  local scopes, wanted = { 'q' }, #names > 0 and {} or nil
  for _, name in ipairs(names) do
    scopes[#scopes + 1] = 'n' .. name
    wanted['n' .. name] = call('EXISTS', names_of(name)) == 1 or nil
  end
  if wanted and not next(wanted) then return '', 0 end
  for scope in pairs(gates_read) do scopes[#scopes + 1] = scope end
  for _, scope in ipairs(call('ZRANGEBYSCORE', SHUT, format('(%d', NOW), '+inf', 'LIMIT', 0, 8)) do scopes[#scopes + 1] = scope end
  local first
  for _, scope in ipairs(scopes) do
    local gate, kind, of = gate_of(scope), byte(scope), sub(scope, 2)
    if gate.left < 1 and (not first or gate.at < first.at) then
      -- The name or the group may have no ready tasks.
      local waits = kind == QUEUE_SCOPE or (kind == GROUP_SCOPE and call('EXISTS', heads_of(of)) == 1)
      if kind == NAME_SCOPE then waits = wanted and wanted[scope] or not wanted and call('EXISTS', names_of(of)) == 1 end
      if waits then first = gate end
      if waits and kind == QUEUE_SCOPE then break end -- no other gate matters while the queue is shut
    end
  end
  if not first then return '', 0 end
  return first.reason, first.at < FAR and first.at or 0
end
