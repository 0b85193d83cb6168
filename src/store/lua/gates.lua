-- gates: what may keep ready tasks from being granted: limits and holds, of the queue, of names and of groups. Each gate is looked at
-- once per call, whatever the number of tasks and lanes behind it.
--
--   GATES   hash  scope -> what the config says: rate per second, burst, max_leased, for names also of the breaker: as doubles, 0 for none
--   GATE    hash  scope -> tokens, when (ms) they were counted, the rate and the burst of then, held until, and then peaks (pairs of when and
--                 tokens): only while that says something
--   COUNTS  hash  scope -> leased tasks, if any
--   SHUT    zset  when to look again (ms) -> scope that keeps something back, or is held
--
-- A scope is "q" for the queue, "n<name>", or "g<group>"; "n*" and "g*" are for those without settings of their own. Tasks without a
-- group have no limits as a group, but may be held together as "g".
-- Uses   rotation breaker

local BREAKERS = 8 -- in queue.limited: names have breakers
local FAR = 4503599627370496 -- 2^52, the time of what waits for an event

local gates_met = NONE -- per call
local gated, limited, evaluate, recall_gate, meet_gates, gate_of, pass_gate, judge_of, check_gates, write_gates

do
  local ROUNDING = 0.000001 -- of ms: a sum of fractions may be a trace less than what it means
  local LIMITED = { [113] = 1, [110] = 2, [103] = 4 } -- bits of queue.limited, by the first byte of a scope

  function gated() return queue.limited + queue.shut > 0 end
  function limited(scope)
    local bit = LIMITED[byte(scope)]
    return queue.limited % (2 * bit) >= bit and scope ~= 'g'
  end

  local function shut(gate, reason, at)
    gate.left = 0
    if at >= gate.at then gate.reason, gate.at = reason, at end
  end

  -- How many tasks may pass now, and if none why and until when.
  function evaluate(gate)
    gate.left, gate.at, gate.reason = math.huge, 0, nil
    if gate.rate > 0 then
      if gate.tokens >= 1 then gate.left = floor(gate.tokens)
      else shut(gate, 'rate_limited', NOW + math.ceil((1 - gate.tokens) * 1000 / gate.rate - ROUNDING)) end
    end
    if gate.most > 0 then
      gate.left = min(gate.left, gate.most - gate.leased)
      if gate.left < 1 and gate.leased >= gate.most then shut(gate, 'concurrency_limited', FAR) end
    end
    local b = gate.breaker
    if b and b.state == HALF_OPEN then
      gate.left = min(gate.left, b.probes_max - b.probes)
      if b.probes >= b.probes_max then shut(gate, 'breaker_open', FAR) end
    elseif b and b.state == OPEN then
      shut(gate, 'breaker_open', b.at)
    end
    if gate.held > NOW then shut(gate, 'held', gate.held) end
  end

  -- Tokens as they are now. Those that were counted by other settings grew by these until the config changed, and are then the same
  -- share of the new bucket. Elapsed time below zero counts as zero.
  local function refill(gate, tokens, at, rate, burst)
    if rate == 0 then return gate.burst end
    if rate ~= gate.rate or burst ~= gate.burst then
      local changed = min(NOW, max(at, queue.limited_at))
      tokens = min(burst, tokens + max(0, changed - at) * rate / 1000) / burst * gate.burst
      at = changed
    end
    return min(gate.burst, tokens + max(0, NOW - at) * gate.rate / 1000)
  end

  -- What the config says of the scopes, of all in one go.
  local function read_settings(gates)
    local fields, asking = {}, {}
    for _, gate in ipairs(gates) do
      if limited(gate.scope) then
        fields[#fields + 1] = gate.scope
        asking[#asking + 1] = gate
      end
    end
    local n = #asking
    if n == 0 then return end
    fields[n + 1], fields[n + 2] = 'n*', 'g*'
    local settings = call('HMGET', GATES, unpack(fields))
    for i, gate in ipairs(asking) do
      local kind = byte(gate.scope)
      local own = settings[i] or (kind == 110 and settings[n + 1]) or (kind == 103 and settings[n + 2])
      if own then
        gate.rate, gate.burst, gate.most = unpack_bytes('<ddd', own)
        if kind == 110 then gate.numbers = { unpack_bytes('<dddd', own, 25) } end
      end
    end
  end

  -- What is given back fits in only as far as the bucket has had room ever since: the rest would have overflowed. So a gate remembers the
  -- levels that were taken from, as far as they fall. Of too many the oldest two become one, the higher at the later time: so less may
  -- come back, never more.
  local PEAKS_MAX = 8
  local function note_peak(gate)
    if gate.peaks == NONE then gate.peaks = {} end
    local peaks = gate.peaks
    while #peaks > 0 and peaks[#peaks] <= gate.tokens do
      peaks[#peaks] = nil
      peaks[#peaks] = nil
    end
    if peaks[#peaks - 1] == NOW then return end
    peaks[#peaks + 1] = NOW
    peaks[#peaks + 1] = gate.tokens
    if #peaks > 2 * PEAKS_MAX then
      peaks[1], peaks[2] = peaks[3], max(peaks[2], peaks[4])
      table.remove(peaks, 3)
      table.remove(peaks, 3)
    end
  end

  -- How many of the tokens that were taken at `at` fit in.
  local function fitting(gate, tokens, at)
    local peaks, room = gate.peaks, gate.burst - gate.tokens
    for i = 1, #peaks, 2 do
      if peaks[i] > at then room = min(room, gate.burst - peaks[i + 1]) end
    end
    local fit = max(0, min(tokens, room))
    for i = 1, #peaks, 2 do
      if peaks[i] > at then peaks[i + 1] = peaks[i + 1] + fit end
    end
    return fit
  end

  -- What the gates remember. Where nothing is held only a rate has to.
  local function recall(gates, every)
    local fields, asking = {}, {}
    for _, gate in ipairs(gates) do
      if not gate.known and (every or gate.rate > 0 or queue.shut > 0) then
        fields[#fields + 1] = gate.scope
        asking[#asking + 1] = gate
      end
    end
    local memories = #fields > 0 and call('HMGET', GATE, unpack(fields)) or NONE
    for i, gate in ipairs(asking) do
      local kept, tokens, at, rate, burst = memories[i], 0, 0, 0, 0
      if kept then
        tokens, at, rate, burst, gate.held = unpack_bytes('<ddddd', kept)
        gate.changed = at > NOW or (gate.held > 0 and gate.held <= NOW)
        gate.kept = { tokens, min(at, NOW), rate, burst }
        local peaks = rate == gate.rate and burst == gate.burst and (#kept - 40) / 8 or 0
        if peaks > 0 then
          gate.peaks = { unpack_bytes('<' .. string.rep('d', peaks), kept, 41) }
          gate.peaks[peaks + 1] = nil
        end
      end
      if gate.rate > 0 then gate.tokens = refill(gate, tokens, at, rate, burst) end
      gate.known = true
    end
  end

  -- A gate whose memory nobody had to ask for is about to change.
  function recall_gate(gate) recall({ gate }, true) end

  local function unread(scope) return { scope = scope, rate = 0, burst = 0, most = 0, leased = 0, tokens = 0, peaks = NONE, held = 0, taken = 0 } end

  local function read_leased(gates)
    local fields, asking = {}, {}
    for _, gate in ipairs(gates) do
      if gate.most > 0 and gate.scope == 'q' then
        gate.leased = call('ZCARD', LEASED)
      elseif gate.most > 0 then
        fields[#fields + 1] = gate.scope
        asking[#asking + 1] = gate
      end
    end
    local leased = #fields > 0 and call('HMGET', COUNTS, unpack(fields)) or NONE
    for i, gate in ipairs(asking) do gate.leased = tonumber(leased[i] or 0) end
  end

  -- Looks at those that were not looked at yet: 300 at most, in a few commands for all.
  function meet_gates(scopes)
    local met = {}
    for _, scope in ipairs(scopes) do
      if not gates_met[scope] then
        if gates_met == NONE then gates_met = {} end
        local gate = unread(scope)
        gates_met[scope], met[#met + 1] = gate, gate
      end
    end
    if #met == 0 then return end
    read_settings(met)
    read_leased(met)
    recall(met)
    read_breakers(met)
    for _, gate in ipairs(met) do evaluate(gate) end
  end

  function gate_of(scope)
    if not gates_met[scope] then meet_gates({ scope }) end
    return gates_met[scope]
  end

  -- Tasks passed; fewer than none when they are given back, which were granted at `at`.
  function pass_gate(gate, tasks, at)
    gate.taken = gate.taken + tasks
    gate.leased = gate.leased + tasks
    if gate.rate > 0 and tasks > 0 then
      note_peak(gate)
      gate.tokens = gate.tokens - tasks
    elseif gate.rate > 0 and tasks < 0 then
      gate.tokens = min(gate.burst, gate.tokens + fitting(gate, -tasks, at))
    end
    local b = gate.breaker
    if tasks > 0 and b and b.state == HALF_OPEN then b.probes, b.changed = b.probes + tasks, true end
    evaluate(gate)
  end

  -- A grant of the name ended, as in `breaker`.
  function judge_of(name, granted_at, verdict)
    if queue.limited < BREAKERS then return end
    local gate = gate_of('n' .. name)
    if not gate.breaker then return end
    judge_grant(gate.breaker, granted_at, verdict)
    evaluate(gate)
  end

  -- What was met was read. What else is looked at behind the first write is looked at here: by a call that will say why it fell
  -- short, and by one that makes a gate remember something.
  function check_gates(short)
    local shuts, all = queue.shut > 0, short and gated()
    for _, gate in pairs(gates_met) do shuts, all = shuts or gate.left < 1, all or gate.changed end
    if shuts or all then call('ZCARD', SHUT) end
    for _, key in ipairs(all and { GATES, GATE, BREAKER, COUNTS } or NONE) do call('HLEN', key) end
  end

  -- What a gate remembers of its bucket. Where there is no rate now, it is that of an earlier limit, which goes on as it was should
  -- that come back.
  local function bucket_of(gate)
    if gate.rate > 0 then return gate.tokens, NOW, gate.rate, gate.burst end
    return unpack(gate.kept or { 0, 0, 0, 0 })
  end

  local function peaks_of(gate)
    if gate.rate == 0 or #gate.peaks == 0 then return '' end
    return pack('<' .. string.rep('d', #gate.peaks), unpack(gate.peaks))
  end

  -- A bucket that is full and a hold that is over say nothing.
  local function says_nothing(gate)
    local tokens, at, rate, burst = bucket_of(gate)
    return gate.held <= NOW and tokens + max(0, NOW - at) * rate / 1000 >= burst
  end

  -- Buckets that nobody touches fill up unnoticed: with each new entry some others are looked at, so that there are never many.
  local SAMPLE = 4
  local function forget_some()
    local sample, over = {}, {}
    for _, scope in ipairs(call('HRANDFIELD', GATE, SAMPLE)) do
      if not gates_met[scope] then sample[#sample + 1] = unread(scope) end
    end
    read_settings(sample)
    recall(sample, true)
    for _, gate in ipairs(sample) do
      if says_nothing(gate) then over[#over + 1] = gate.scope end
    end
    many('HDEL', GATE, over)
  end

  function write_gates()
    local kept, over = {}, {}
    for scope, gate in pairs(gates_met) do
      if gate.changed or (gate.taken ~= 0 and gate.rate > 0) then
        if not says_nothing(gate) then
          local tokens, at, rate, burst = bucket_of(gate)
          kept[#kept + 1] = scope
          kept[#kept + 1] = pack('<ddddd', tokens, at, rate, burst, gate.held) .. peaks_of(gate)
        elseif gate.kept then
          over[#over + 1] = scope
        end
      end
    end
    many('HDEL', GATE, over)
    if (many('HSET', GATE, kept) or 0) > 0 then forget_some() end
    write_breakers()
  end
end
