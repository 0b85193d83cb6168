-- clear: removes the lanes that a deleted queue left behind. TURN leads to all of them. While TURN exists and
-- the queue does not, the queue cannot be created again.
-- Uses   rotation

local CLEAR_LANES = 500

-- Clears up to `limit` lanes. Returns whether none is left.
local function clear_lanes(limit)
  local looked = 0
  while looked < limit do
    local group = call('ZRANGE', TURN, 0, 0)[1]
    if not group then return true end
    local heads = call('ZRANGE', heads_of(group), 0, limit - looked - 1)
    for _, member in ipairs(heads) do
      local lane = member .. '/' .. group
      call('UNLINK', ROOT .. 'fresh:' .. lane, ROOT .. 'back:' .. lane, names_of(string.match(member, '/(.*)$')))
    end
    many('ZREM', heads_of(group), heads)
    if call('EXISTS', heads_of(group)) == 0 then call('ZREM', TURN, group) end
    looked = looked + #heads + 1
  end
  return call('EXISTS', TURN) == 0
end
