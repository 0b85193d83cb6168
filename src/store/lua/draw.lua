-- draw: chooses the next tasks, reading only. Groups take turns; inside a group the lane with the best head gives.
-- Nothing is written until every choice is made, so that an error leaves the queue as it was.
-- Uses   rotation

-- A lane's two streams, read in chunks as far as they are needed.
local function open_lane(member, g, score)
  local priority, name = string.match(member, '^(%d+)/(.*)$')
  return { g = g, member = member, group = g.group, priority = tonumber(priority), name = name, lane = member .. '/' .. g.group,
    score = score, fresh = {}, back = {}, f = 1, b = 1, more_fresh = true, more_back = true, chunk = 2 }
end

local function peek(l)
  if l.more_fresh and l.f > #l.fresh then
    local from = #l.fresh
    local page = call('LRANGE', ROOT .. 'fresh:' .. l.lane, from, from + l.chunk - 1)
    for i = 1, #page do l.fresh[from + i] = page[i] end
    l.more_fresh = #page == l.chunk
    l.chunk = min(l.chunk * 2, 256)
  end
  if l.more_back and l.b * 2 > #l.back then
    local from = #l.back / 2
    local page = call('ZRANGE', ROOT .. 'back:' .. l.lane, from, from + l.chunk - 1, 'WITHSCORES')
    for i = 1, #page do l.back[from * 2 + i] = page[i] end
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
    -- Ticks are compared as numbers: Lua compares texts by the locale that Redis was started with.
    if place < returned or (place == returned and place < unpack_bytes('>I7', back)) then return place, fresh, false end
  end
  return returned, back, true
end

-- Better: lower score, then earlier acceptance.
local function beats(l, other)
  if l.score ~= other.score then return l.score < other.score end
  return unpack_bytes('>I7', l.entry) < unpack_bytes('>I7', other.entry)
end

local function refresh(l)
  l.place, l.entry, l.returned = peek(l)
  if l.place then l.score = order_score(l.priority, l.place) end
end

local function more_heads(g)
  local from = g.heads_read
  local page = call('ZRANGE', heads_of(g.group), from, from + g.page - 1, 'WITHSCORES')
  g.heads_read = from + #page / 2
  g.more = #page == g.page * 2
  g.page = 128
  for i = 1, #page, 2 do
    g.beyond = tonumber(page[i + 1])
    local name = g.names and string.match(page[i], '/(.*)$')
    if not g.names or g.names[name] then
      local l = open_lane(page[i], g, g.beyond)
      g.lanes[#g.lanes + 1] = l
    end
  end
end

-- The lane whose head is next in the group. Heads are lower bounds, so a lane is opened before it wins.
local function best_lane(g)
  while true do
    local best, at
    for i, l in ipairs(g.lanes) do
      if not best or l.score < best.score or (l.score == best.score and l.place and best.place and beats(l, best)) then
        best, at = l, i
      end
    end
    if g.more and (not best or best.score >= g.beyond) then
      more_heads(g)
    elseif not best then
      return nil
    elseif best.place then
      -- An unopened lane with the same score may have been accepted earlier.
      local rival
      for _, l in ipairs(g.lanes) do
        if not l.place and l.score == best.score then rival = l end
      end
      if not rival then return best, at end
      refresh(rival)
      if not rival.place then rival.score = math.huge end
    else
      refresh(best)
      if not best.place then table.remove(g.lanes, at) end
    end
  end
end

-- What was chosen, in the order of granting: parallel lists, for there can be 256 of them.
local picked, pick_entry, pick_lane, pick_returned = 0, NONE, NONE, NONE -- per call

local function pick(l, entry, returned)
  if picked == 0 then pick_entry, pick_lane, pick_returned = {}, {}, {} end
  picked = picked + 1
  pick_entry[picked], pick_lane[picked], pick_returned[picked] = entry, l, returned
end

-- Takes up to `want` entries of the group, best first; says how many it had.
local function draw(g, want)
  if g.more and g.heads_read == 0 then more_heads(g) end
  local only = not g.more and #g.lanes == 1 and g.lanes[1]
  if only and not only.place then
    only.chunk = min(want + 1, 257)
    refresh(only)
    if not only.place then g.lanes = {} end
  end
  local drawn = 0
  -- The usual case: one lane, nothing returned. No comparison, no decoding.
  while only and only.place and drawn < want and not only.more_back and only.b * 2 > #only.back do
    local f, last = only.f, min(only.f + want - drawn, #only.fresh + 1)
    for i = f, last - 1 do pick(only, only.fresh[i], false) end
    drawn = drawn + last - f
    only.f = last
    refresh(only)
    if not only.place then g.lanes = {} end
  end
  while drawn < want do
    local l, at = best_lane(g)
    if not l then break end
    pick(l, l.entry, l.returned)
    drawn = drawn + 1
    if l.returned then l.b = l.b + 1 else l.f = l.f + 1 end
    refresh(l)
    if not l.place then table.remove(g.lanes, at) end
  end
  return drawn
end

local function open_group(group, pass, names, want)
  return { group = group, pass = pass, start = pass, names = names, lanes = {}, heads_read = 0, more = true,
    page = min(want + 1, 32), beyond = -math.huge }
end

-- Puts a group back in line behind those with a pass not above its own; after one grant its place is mostly the last.
local function insert_by_pass(line, first, g)
  local at = #line
  while at >= first and line[at].pass > g.pass do
    line[at + 1] = line[at]
    at = at - 1
  end
  line[at + 1] = g
end

-- Lanes whose scores under names:<name> lag behind their group's pass; the caller writes what was read here.
local lagging = NONE -- per call
local LANES_MAX = 1000

-- The groups with one of `names`, the next first. Scores are lower bounds of passes, so reading stops where
-- no group beyond can come before the `want` that were found; or after LANES_MAX, and then the rest waits for another call.
local function groups_with(names, want)
  local found, known, looked = {}, {}, 0
  for _, name in ipairs(names) do
    local from, size, enough = 0, want + 32, 0
    repeat
      local page = call('ZRANGE', names_of(name), from, from + size - 1, 'WITHSCORES')
      for i = 1, #page, 2 do
        local group = string.match(page[i], '^%d+/(.*)$')
        local g = known[group]
        if not g then
          g = { group = group, pass = tonumber(call('ZSCORE', TURN, group) or nil), rank = call('ZRANK', TURN, group) }
          known[group] = g
          if g.pass then found[#found + 1] = g end
        end
        if g.pass and tonumber(page[i + 1]) < g.pass then
          if lagging == NONE then lagging = {} end
          lagging[#lagging + 1] = { names_of(name), g.pass, page[i] }
        end
      end
      from, looked, enough = from + size, looked + #page / 2, 0
      for _, g in ipairs(found) do
        if g.pass <= tonumber(page[#page] or 0) then enough = enough + 1 end
      end
    until #page < 2 * size or enough >= want or looked >= LANES_MAX
  end
  table.sort(found, function(a, b) return a.rank < b.rank end)
  return found
end

-- The groups that may have a turn, lowest pass first; `want` picks cannot touch more than `want` of them.
local function open_line(want, names)
  local line, page = {}, call('ZRANGE', TURN, 0, want - 1, 'WITHSCORES')
  local highest = tonumber(page[#page] or 0)
  if #page == 2 * want then highest = tonumber(call('ZRANGE', TURN, -1, -1, 'WITHSCORES')[2]) end
  local begins = round_begins(tonumber(page[2] or 0), highest)
  if #names == 0 then
    for i = 1, #page, 2 do line[#line + 1] = open_group(page[i], max(tonumber(page[i + 1]), begins), nil, want) end
    return line
  end
  local wanted = {}
  for _, name in ipairs(names) do wanted[name] = true end
  for _, g in ipairs(groups_with(names, want)) do line[#line + 1] = open_group(g.group, max(g.pass, begins), wanted, want) end
  return line
end

-- Picks up to `want` entries over the line; returns where the line now begins.
local function choose(line, first, want)
  if first == #line then
    local g = line[first]
    local drawn = draw(g, want)
    g.pass = g.pass + drawn
    return drawn < want and first + 1 or first
  end
  local left = want
  while left > 0 and first <= #line do
    local g = line[first]
    first = first + 1
    if draw(g, 1) == 1 then
      left = left - 1
      g.pass = g.pass + 1
      insert_by_pass(line, first, g)
    end
  end
  return first
end
