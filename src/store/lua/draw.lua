-- draw: chooses the next tasks; reads only. Groups take turns; inside a group the lane with the best head
-- gives. Nothing is written before every choice is made, so that an error leaves the queue as it was.
-- Uses   rotation gates

-- Tables get all their fields at creation: Lua reallocates a table each time it outgrows its size, and one
-- call may create hundreds.

-- Returns priority and name of a lane's member in heads. The library remembers the members that it has seen.
local priorities, names_in, members_known = {}, {}, 0
local function parts_of(member)
  local priority = priorities[member]
  if priority then return priority, names_in[member] end
  if members_known >= 1000 then priorities, names_in, members_known = {}, {}, 0 end
  local digits, name = string.match(member, '^(%d+)/(.*)$')
  priority = tonumber(digits)
  priorities[member], names_in[member], members_known = priority, name, members_known + 1
  return priority, name
end

-- Creates a lane. Its two streams, fresh and back, are read in chunks as far as they are needed.
local function open_lane(member, g, score)
  local priority, name = parts_of(member)
  local lane = member .. '/' .. g.group
  return { g = g, member = member, group = g.group, priority = priority, name = name, lane = lane, key = ROOT .. 'fresh:' .. lane,
    score = score, fresh = NONE, back = NONE, f = 1, b = 1, more_fresh = true, more_back = true, chunk = 2,
    place = false, entry = false, returned = false, gate = false, parked = false, stale = false, took = false, took_back = 0, gave = false, list = false }
end

-- Creates a group. Whether it has a turn is not known yet. `stored_pass` is its pass in TURN, `start` the
-- pass at which this call found it, `pass` the one after the turns of this call. `beyond` is a lower bound
-- for the scores of heads that are not read yet.
local function new_group(group, pass)
  return { group = group, pass = pass, stored_pass = false, start = false, stride = false, lanes = false, heads_read = 0, more = true, page = 0, beyond = 0,
    turns = false, ended = false, gate = false }
end

-- Blocked lanes and groups that one call finds are parked, at most PARKED_MAX of them. At that number the
-- call ends, and another call is due.
local PARKED_MAX = 100
-- Variables of one lease call that several files share:
--   parking_steps  blocked or returning lanes and groups so far, counted against PARKED_MAX. `candidates` and
--                  `parked` count, too.
--   blocked_lanes  lanes that passes() rejected; `several` checks and `parked` parks them
local parking_steps, blocked_lanes = 0, NONE -- per call

-- Returns whether the gate of its name lets a task of the lane through. Notes the lane as blocked if not.
local function passes(l)
  local gate = l.gate
  if not gate or gate.left >= 1 then return true end
  if blocked_lanes == NONE then blocked_lanes = {} end
  blocked_lanes[#blocked_lanes + 1] = l
  if not l.parked then parking_steps = parking_steps + 1 end
  return false
end

-- Returns place, entry and whether it is returned, of the lane's best entry; nil for an empty lane.
local function peek(l)
  if l.more_fresh and l.f > #l.fresh then
    local from = #l.fresh
    local page = call('LRANGE', l.key, numeral(from), numeral(from + l.chunk - 1))
    if from == 0 then l.fresh = page else
      for i = 1, #page do l.fresh[from + i] = page[i] end
    end
    l.more_fresh = #page == l.chunk
    l.chunk = min(l.chunk * 2, 256)
  end
  if l.more_back and l.b * 2 > #l.back then
    local from = #l.back / 2
    local page = call('ZRANGE', ROOT .. 'back:' .. l.lane, numeral(from), numeral(from + l.chunk - 1), 'WITHSCORES')
    if from == 0 then l.back = page else
      for i = 1, #page do l.back[from * 2 + i] = page[i] end
    end
    l.more_back = #page == l.chunk * 2
  end
  local fresh, back = l.fresh[l.f], l.back[l.b * 2 - 1]
  if not back then
    if not fresh then return nil end
    return unpack_bytes('>I7', fresh), fresh, false
  end
  local returned = tonumber(l.back[l.b * 2])
  if fresh then
    local place = unpack_bytes('>I7', fresh)
    -- Ticks are compared as numbers: Lua compares texts by the locale of the Redis process.
    if place < returned or (place == returned and place < unpack_bytes('>I7', back)) then return place, fresh, false end
  end
  return returned, back, true
end

-- Removes the first `count` entries of a list. LPOP is cheaper for one entry; for many it would return all of
-- them.
local function take_first(list, count)
  if count == 1 then call('LPOP', list) else call('LTRIM', list, numeral(count), '-1') end
end

-- Returns whether a lane is better: lower score, then earlier acceptance. Heads are lower bounds, so a lane
-- must be opened before it wins.
local function beats(l, other)
  if l.score ~= other.score then return l.score < other.score end
  if not l.place or not other.place then return other.place and not l.place end
  return unpack_bytes('>I7', l.entry) < unpack_bytes('>I7', other.entry)
end

-- Moves the lane at index `at` down to its place. The lanes of a group are a heap with the best lane first.
-- Scores are compared in place: a function call costs more than the comparison.
local function sink(heap, at)
  local l, size, child = heap[at], #heap, at * 2
  local score = l.score
  while child <= size do
    local best = heap[child]
    local lowest = best.score
    if child < size then
      local other = heap[child + 1]
      local its = other.score
      if its < lowest or (its == lowest and beats(other, best)) then child, best, lowest = child + 1, other, its end
    end
    if score < lowest or (score == lowest and not beats(best, l)) then break end
    heap[at] = best
    at, child = child, child * 2
  end
  heap[at] = l
end

local function join(heap, l)
  local at = #heap + 1
  while at > 1 do
    local above = floor(at / 2)
    if not beats(l, heap[above]) then break end
    heap[at] = heap[above]
    at = above
  end
  heap[at] = l
end

local function leave(heap)
  local last = table.remove(heap)
  if #heap == 0 then return end
  heap[1] = last
  sink(heap, 1)
end

local function refresh(l)
  l.place, l.entry, l.returned = peek(l)
  if l.place then l.score = order_score(l.priority, l.place) end
end

-- Asks with one EXISTS whether any of these lanes has returned tasks. If none has, no lane reads them again.
local function ask_for_returned(lanes)
  if #lanes < 2 then return end
  local keys = {}
  for i, l in ipairs(lanes) do keys[i] = ROOT .. 'back:' .. l.lane end
  if call('EXISTS', unpack(keys)) > 0 then return end
  for _, l in ipairs(lanes) do l.more_back = false end
end

-- Adds the lanes whose names let a task through to the heap of their group. Returns these lanes.
local function let_through(g, lanes, scopes)
  local let, n = {}, 0
  read_gates(scopes)
  for i = 1, #lanes do
    local l = lanes[i]
    l.gate = gates_read[scopes[i]]
    if passes(l) then
      n = n + 1
      let[n] = l
      join(g.lanes, l)
    end
  end
  return let
end

-- Reads the next heads of the group. `alone` is true if no other group has a turn; then the returned tasks of
-- these lanes are checked at once.
local function more_heads(g, alone)
  local from = g.heads_read
  local page = call('ZRANGE', heads_of(g.group), numeral(from), numeral(from + g.page - 1), 'WITHSCORES')
  g.heads_read = from + #page / 2
  g.more = #page == g.page * 2
  g.page = 128
  local opened, scopes = (alone or g.gate) and {}, g.gate and {}
  for i = 1, #page, 2 do
    if page[i + 1] == 'inf' then -- the rest is parked
      g.more = false
      break
    end
    g.beyond = tonumber(page[i + 1])
    local _, name = parts_of(page[i])
    if not g.names or g.names[name] then
      local l = open_lane(page[i], g, g.beyond)
      if opened then opened[#opened + 1] = l end
      if scopes then scopes[#scopes + 1] = 'n' .. l.name else join(g.lanes, l) end
    end
  end
  if scopes then opened = let_through(g, opened, scopes) end
  if alone then ask_for_returned(opened) end
end

-- Returns the lane with the best head of the group, or nil.
local function best_lane(g)
  while parking_steps < PARKED_MAX do
    local best = g.lanes[1]
    if g.more and (not best or best.score >= g.beyond) then
      more_heads(g, true)
    elseif not best then
      return nil
    elseif not best.place then
      refresh(best)
      if best.place then sink(g.lanes, 1) else leave(g.lanes) end
    elseif passes(best) then
      return best
    else
      leave(g.lanes)
    end
  end
end

-- The choice so far, in the order of granting: `picked` entries. Parallel lists, because there can be 256.
-- `several` lowers `picked` where the byte limit cuts the choice.
local picked, pick_entry, pick_lane, pick_returned = 0, NONE, NONE, NONE -- per call

local function pick(l, entry, returned)
  if picked == 0 then pick_entry, pick_lane, pick_returned = {}, {}, {} end
  picked = picked + 1
  pick_entry[picked], pick_lane[picked], pick_returned[picked] = entry, l, returned
  local gate = l.gate
  if gate then
    local of_group = l.g.gate
    gate.left, of_group.left = gate.left - 1, of_group.left - 1
  end
end

-- Picks up to `want` entries of the group, best first. Returns how many it picked.
local function draw(g, want)
  if g.gate then want = min(want, g.gate.left) end
  if g.more and g.heads_read == 0 then more_heads(g, true) end
  local only = not g.more and #g.lanes == 1 and g.lanes[1]
  if only and not only.place then
    only.chunk = min(want + 1, 257)
    refresh(only)
    if not only.place then g.lanes[1] = nil end
  end
  local drawn, most = 0, want
  if only and only.gate then most = min(want, only.gate.left) end
  -- The usual case: one lane and nothing returned. It needs no comparison and no decoding.
  while only and only.place and drawn < most and not only.more_back and only.b * 2 > #only.back do
    local f, last = only.f, min(only.f + most - drawn, #only.fresh + 1)
    for i = f, last - 1 do pick(only, only.fresh[i], false) end
    drawn = drawn + last - f
    only.f = last
    refresh(only)
    if not only.place then g.lanes[1] = nil end
  end
  while drawn < want do
    local l = best_lane(g)
    if not l then break end
    pick(l, l.entry, l.returned)
    drawn = drawn + 1
    if l.returned then l.b = l.b + 1 else l.f = l.f + 1 end
    refresh(l)
    if l.place then sink(g.lanes, 1) else leave(g.lanes) end
  end
  return drawn
end

-- Makes a group ready to draw from. `found` has the group's name, its pass, and its parked lanes that may
-- give. A group that was skipped, by a names filter or a gate, gets no credit: it has its turn now, not all
-- the turns that it missed.
local function open_group(found, names, want)
  local start, g = max(found.pass, queue.round), found
  g.start, g.stride, g.names, g.lanes, g.heads_read, g.more = start, stride_of(g.group), names, {}, 0, true
  g.page, g.beyond, g.stored_pass, g.pass = min(want + 1, 32), -math.huge, found.pass, start
  for _, member in ipairs(g.parked_members or NONE) do
    local l = open_lane(member, g, -math.huge)
    l.parked, l.gate = true, g.gate and gate_of('n' .. l.name)
    join(g.lanes, l)
  end
  return g
end

-- Puts a group back behind the groups whose pass is not higher. After one grant its place is usually the
-- last.
local function insert_by_pass(candidates, first, g)
  local at = #candidates
  while at >= first and candidates[at].pass > g.pass do
    candidates[at + 1] = candidates[at]
    at = at - 1
  end
  candidates[at + 1] = g
end

-- Function that adds another candidate behind a group that had only blocked lanes. `candidates` sets it,
-- `draw` and `several` call it; nil if there can be none.
local more_candidates = nil -- per call

-- Reads heads and returned tasks of the groups that will have a turn in this call, most likely with one lane
-- each. Stops at a blocked lane: other groups may come in between.
local function look_ahead(candidates, first, want)
  local last, likely = min(#candidates, first + want - 1), {}
  local page = min(math.ceil(want / (last - first + 1)) + 1, 32)
  for i = first, last do
    local g = candidates[i]
    if parking_steps > 0 then break end
    if g.more and g.heads_read == 0 then
      g.page = page
      more_heads(g)
      likely[#likely + 1] = g.lanes[1]
    end
  end
  ask_for_returned(likely)
end

-- Picks up to `want` entries from the candidates, starting at index `first`. Returns the index of the next
-- candidate.
local function choose(candidates, first, want)
  if first == #candidates then
    local g = candidates[first]
    local drawn = draw(g, want)
    g.pass = g.pass + drawn * g.stride
    return drawn < want and first + 1 or first
  end
  look_ahead(candidates, first, want)
  local left = want
  while left > 0 and first <= #candidates and parking_steps < PARKED_MAX do
    local g = candidates[first]
    first = first + 1
    if draw(g, 1) == 1 then
      left = left - 1
      g.pass = g.pass + g.stride
      insert_by_pass(candidates, first, g)
    elseif more_candidates then
      more_candidates(candidates, first)
    end
  end
  return first
end
