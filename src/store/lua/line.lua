-- line: the groups that may have a turn, the next first.
-- Uses   draw

-- Lanes whose scores under names:<name> lag behind their group's pass; the caller writes what was read here.
local lagging = NONE -- per call
local LANES_MAX = 1000

-- What a call knows of a group that has tasks: its pass, and whether it is parked, or kept back now.
local known = NONE -- per call

local function know(group, score)
  if known == NONE then known = {} end
  local g = known[group]
  if g then return g end
  g = { group = group }
  known[group] = g
  score = score or tonumber(call('ZSCORE', TURN, group) or nil)
  if not score then return g end
  g.pass, g.parked, g.gate = score % PARKED, score >= PARKED, gated() and gate_of('g' .. group)
  g.blocked = g.gate and g.gate.left < 1
  return g
end

local found, in_line = NONE, NONE -- per call
local function list(g)
  if not g.pass or in_line[g.group] then return end
  in_line[g.group] = true
  found[#found + 1] = g
end

-- Parked lanes of a name that lets tasks through, in groups that do not: they wait for their group from now on.
local returning_lanes = NONE -- per call
local function return_lane(group, member, name, pass)
  if returning_lanes == NONE then returning_lanes = {} end
  local priority = tonumber(string.match(member, '^%d+'))
  returning_lanes[#returning_lanes + 1] = { group = group, member = member, priority = priority, name = name, pass = pass,
    place = head_place(member .. '/' .. group) }
end

-- Lists the groups that have lanes of the name, from one rank to another: the parked ones or the others. Scores are lower bounds of passes, so
-- reading stops where no group beyond can come before the `want` that were found; or after LANES_MAX, and then the rest waits for another call.
local function list_name(name, from, to, parked, want)
  local size, looked, enough = want + 32, 0, 0
  while from <= to do
    local page = call('ZRANGE', names_of(name), from, to < math.huge and min(from + size - 1, to) or from + size - 1, 'WITHSCORES')
    local last
    for i = 1, #page, 2 do
      local priority, group = string.match(page[i], '^(%d+)/(.*)$')
      local g = know(group)
      last = tonumber(page[i + 1]) + (parked and PARKED or 0)
      if parked and g.blocked then
        if steps < STEPS_MAX then
          steps = steps + 1
          return_lane(group, priority .. '/' .. name, name, g.pass)
        end
      else
        if parked and g.pass then
          g.aside = g.aside or {}
          g.aside[#g.aside + 1] = priority .. '/' .. name
        end
        list(g)
        if g.pass and last < g.pass then
          if lagging == NONE then lagging = {} end
          lagging[#lagging + 1] = { names_of(name), g.pass - (parked and PARKED or 0), page[i] }
        end
      end
    end
    from, looked, enough = from + size, looked + #page / 2, 0
    for _, g in ipairs(found) do
      if g.pass <= (last or 0) and not g.blocked then enough = enough + 1 end
    end
    if #page < 2 * size or enough >= want or looked >= LANES_MAX then return end
  end
end

-- Parked lanes have scores below zero, so they come first.
local function parked_lanes(name) return queue.shut > 0 and call('ZCOUNT', names_of(name), '-inf', '(0') or 0 end

-- Earlier: lower pass, then by name as Redis compares them; Lua compares texts by the locale that Redis was started with.
local function is_earlier(a, b)
  if a.pass ~= b.pass then return a.pass < b.pass end
  local x, y = a.group, b.group
  for i = 1, min(#x, #y) do
    local m, n = byte(x, i), byte(y, i)
    if m ~= n then return m < n end
  end
  return #x < #y
end

-- Gates that are to be looked at again, and the names among them that let tasks through.
local DUE_MAX = 256
local due_gates, awake = NONE, NONE -- per call

local function look_again(wanted)
  due_gates, awake = {}, {}
  for _, scope in ipairs(call('ZRANGEBYSCORE', SHUT, '-inf', NOW, 'LIMIT', 0, DUE_MAX)) do
    local kind, of = sub(scope, 1, 1), sub(scope, 2)
    if kind ~= 'n' or not wanted or wanted[of] then
      local gate = gate_of(scope)
      due_gates[#due_gates + 1] = gate
      if gate.left >= 1 and kind == 'n' then awake[#awake + 1] = of end
      if gate.left >= 1 and kind == 'g' then
        know(of).due = true
        if not wanted then list(known[of]) end
      end
    end
  end
end

-- The groups whose turn it is without a filter: those in rotation, but for those that a gate keeps back.
local function list_turns(want)
  local from, listed = 0, 0
  repeat
    local page = call('ZRANGE', TURN, from, from + want - 1, 'WITHSCORES')
    for i = 1, #page, 2 do
      local score = tonumber(page[i + 1])
      if score >= PARKED then return end
      local g = know(page[i], score)
      list(g)
      if g.blocked then steps = steps + 1 else listed = listed + 1 end
    end
    from = from + want
  until #page < 2 * want or listed >= want or steps >= STEPS_MAX
end

-- The groups that may have a turn, lowest pass first; `want` picks cannot touch more than `want` of them.
local function open_line(want, names)
  local line, wanted = {}, nil
  if #names == 0 and not gated() then
    local page = call('ZRANGE', TURN, 0, want - 1, 'WITHSCORES')
    for i = 1, #page, 2 do line[#line + 1] = open_group({ group = page[i], pass = tonumber(page[i + 1]) }, nil, want) end
    return line
  end
  found, in_line = {}, {}
  if #names > 0 then
    wanted = {}
    for _, name in ipairs(names) do wanted[name] = true end
  end
  if queue.shut > 0 then look_again(wanted) end
  if not wanted then
    for _, name in ipairs(awake) do list_name(name, 0, parked_lanes(name) - 1, true, want) end
    list_turns(want)
  else
    for _, name in ipairs(names) do
      if not gated() or gate_of('n' .. name).left >= 1 then
        local parked = parked_lanes(name)
        list_name(name, 0, parked - 1, true, want)
        list_name(name, parked, math.huge, false, want)
      end
    end
  end
  table.sort(found, is_earlier)
  for _, g in ipairs(found) do
    if not g.blocked then line[#line + 1] = open_group(g, wanted, want) end
  end
  return line
end
