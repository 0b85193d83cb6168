-- breaker: stops the grants of a name whose attempts keep failing. After a while it lets a few probes through
-- to see whether they still fail (I22).
--
--   BREAKER  hash  name -> as doubles: state, since when, until when, failures or successes that count,
--                  probes under way, reset in ms, announced state (the one that watchers last heard of). No
--                  field for a breaker that never opened and has no failures to count.
--
-- An open breaker becomes half-open when its reset ends. Only grants made since a state began move it, each
-- once. Watchers hear of each state once. A state that only time caused is announced by the first grant, or
-- end of a grant, that sees it.
-- Uses   rotation events

local BREAKERS = 8 -- bit of queue.limited: some name has a breaker
local CLOSED, OPEN, HALF_OPEN = 0, 1, 2
local breakers_read = NONE -- per call
local breaker_of, read_breakers, enter_state, judge_grant, write_breakers

do
  local GROWTH, GROWTH_MAX = 2, 10
  local NO_BREAKER = { 0, 0, 0, 0 }
  local WORDS = { [CLOSED] = 'closed', [OPEN] = 'open', [HALF_OPEN] = 'half_open' }

  -- Returns the breaker of a name. `settings` are failure_threshold (0 if none is configured), reset in ms,
  -- half_open_max and success_threshold. `kept` is its stored state if the caller has read it.
  function breaker_of(name, settings, kept)
    if breakers_read == NONE then breakers_read = {} end
    local b = breakers_read[name]
    if b then return b end
    b = { threshold = settings[1], base_ms = settings[2], probes_max = settings[3], enough = settings[4], state = CLOSED, since = 0, at = 0,
      count = 0, probes = 0, reset_ms = 0, announced = CLOSED }
    b.kept = kept
    if kept == nil then b.kept = call('HGET', BREAKER, name) end
    if b.kept then b.state, b.since, b.at, b.count, b.probes, b.reset_ms, b.announced = unpack_bytes('<ddddddd', b.kept) end
    if b.state == OPEN and b.at <= NOW then
      b.state, b.since, b.count, b.probes = b.threshold > 0 and HALF_OPEN or CLOSED, b.at, 0, 0
    end
    breakers_read[name] = b
    return b
  end

  -- Reads the breakers of gates of names: those configured, and any that an operator may have opened.
  function read_breakers(gates)
    if queue.limited < BREAKERS and queue.shut == 0 then return end
    local names, asking = {}, {}
    for _, gate in ipairs(gates) do
      if byte(gate.scope) == NAME_SCOPE and ((gate.numbers and gate.numbers[1] > 0) or queue.shut > 0) then
        names[#names + 1] = sub(gate.scope, 2)
        asking[#asking + 1] = gate
      end
    end
    local kept = #names > 0 and call('HMGET', BREAKER, unpack(names)) or NONE
    for i, gate in ipairs(asking) do gate.breaker = breaker_of(names[i], gate.numbers or NO_BREAKER, kept[i]) end
  end

  function enter_state(b, state, at)
    b.state, b.since, b.at, b.count, b.probes, b.changed = state, NOW, at, 0, 0, true
    if state == CLOSED then b.reset_ms = 0 end
  end

  local function open(b, reset_ms)
    b.reset_ms = reset_ms
    enter_state(b, OPEN, NOW + reset_ms)
  end

  -- Counts the end of a grant. `verdict` is 'success', 'failure', or nil for neither.
  function judge_grant(b, granted_at, verdict)
    if granted_at < b.since or b.state == OPEN then return end
    if b.state == HALF_OPEN then
      b.probes, b.changed = max(0, b.probes - 1), true
      if verdict == 'failure' then
        open(b, min(max(b.reset_ms, b.base_ms) * GROWTH, b.base_ms * GROWTH_MAX))
      elseif verdict == 'success' then
        b.count = b.count + 1
        if b.count >= b.enough then enter_state(b, CLOSED, 0) end
      end
    elseif verdict == 'failure' and b.threshold > 0 then
      b.count, b.changed = b.count + 1, true
      if b.count >= b.threshold then open(b, b.base_ms) end
    elseif verdict == 'success' and b.count > 0 then
      b.count, b.changed = 0, true
    end
  end

  -- Returns whether a closed breaker can be forgotten: nothing is counted, and no grant from before it closed
  -- can be under way.
  local function is_forgettable(b) return b.state == CLOSED and b.count == 0 and NOW - b.since > queue.max_lease_ms end

  function write_breakers()
    local kept, over = {}, {}
    for name, b in pairs(breakers_read) do
      local news = b.announced ~= b.state
      if b.changed and not is_forgettable(b) then
        kept[#kept + 1] = name
        kept[#kept + 1] = pack('<ddddddd', b.state, b.since, b.at, b.count, b.probes, b.reset_ms, b.state)
      elseif b.kept and is_forgettable(b) then
        over[#over + 1] = name
      elseif news then
        kept[#kept + 1] = name
        kept[#kept + 1] = sub(b.kept, 1, -9) .. pack('<d', b.state)
      end
      if news then publish_event('breaker', '"name":"%s","state":"%s"', name, WORDS[b.state]) end
    end
    many('HSET', BREAKER, kept)
    many('HDEL', BREAKER, over)
  end
end
