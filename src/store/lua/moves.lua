-- moves: the new places of lanes and groups after a lease, gathered and written with few commands, whatever
-- their number.
-- Uses   rotation

local moved_groups, moved_names, moved_turns, dropped_keys = NONE, NONE, NONE, NONE -- per call

-- Reads the names whose lanes may be written after a lease and were not read yet.
local function check_moves(lanes)
  local seen = {}
  for _, l in ipairs(lanes) do
    if not seen[l.name] and (not l.place or (l.gate and l.gate.left < 1)) then
      seen[l.name] = true
      call('ZCARD', names_of(l.name))
    end
  end
end

local function lists_of(all, key)
  local lists = all[key]
  if not lists then
    lists = { add = {}, drop = {} }
    all[key] = lists
  end
  return lists
end

local function put(list, score, member)
  local n = #list
  list[n + 1], list[n + 2] = score, member
end

local function begin_moves()
  if moved_groups == NONE then moved_groups, moved_names, moved_turns, dropped_keys = {}, {}, { add = {}, drop = {} }, {} end
end

-- Moves a lane to a score among the heads of its group.
local function lane_moves(l, score)
  begin_moves()
  put(lists_of(moved_groups, l.group).add, score, l.member)
end

-- Moves a lane to a score among the lanes of its name.
local function lane_turns(l, score)
  begin_moves()
  put(lists_of(moved_names, l.name).add, score, format('%d/%s', l.priority, l.group))
end

-- Removes a lane that has no more entries. `list` is its fresh list if that still exists because all of it
-- was taken.
local function lane_ends(l, list)
  begin_moves()
  if list then dropped_keys[#dropped_keys + 1] = list end
  local heads, name = lists_of(moved_groups, l.group), lists_of(moved_names, l.name)
  heads.g = l.g
  heads.drop[#heads.drop + 1] = l.member
  name.drop[#name.drop + 1] = format('%d/%s', l.priority, l.group)
end

-- Returns whether the group has other lanes. A group's only lane needs no new head: there is nothing to
-- compare it with, and heads are lower bounds.
local function has_rivals(l) return l.parked or l.g.more or l.g.parked_members or l.g.heads_read > 1 end

local function group_moves(g, pass)
  begin_moves()
  put(moved_turns.add, format('%d', pass), g.group)
end

-- Writes the moves of lanes. Groups without lanes become `ended`; the others may call group_moves()
-- afterwards.
local function write_lanes()
  for group, heads in pairs(moved_groups) do
    local g = heads.g
    many('ZADD', heads_of(group), heads.add)
    -- Usually all heads of a group are known, and all its lanes were emptied.
    if g and #heads.add == 0 and not g.more and not g.parked_members and g.heads_read == #heads.drop then
      dropped_keys[#dropped_keys + 1] = heads_of(group)
      g.ended = true
    elseif g then
      many('ZREM', heads_of(group), heads.drop)
      g.ended = #heads.add == 0 and #g.lanes == 0 and call('EXISTS', heads_of(group)) == 0
    end
    if g and g.ended then moved_turns.drop[#moved_turns.drop + 1] = group end
  end
  for name, lanes in pairs(moved_names) do
    many('ZADD', names_of(name), lanes.add)
    many('ZREM', names_of(name), lanes.drop)
  end
  for from = 1, #dropped_keys, 900 do call('DEL', unpack(dropped_keys, from, min(from + 899, #dropped_keys))) end
end

local function write_turns()
  if moved_turns == NONE then return end
  many('ZADD', TURN, moved_turns.add, 'XX')
  many('ZREM', TURN, moved_turns.drop)
end
