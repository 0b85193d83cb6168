-- gates: limits and holds of the queue, of names and of groups, which decide whether ready tasks may be
-- granted. Each gate is read once per call, however many tasks and lanes are behind it.
--
--   GATES   hash  scope -> its config as doubles, 0 for none: rate per second, burst, max_leased; then, for
--                 names, those of the breaker
--   GATE    hash  scope -> tokens, when (ms) they were counted, the rate and the burst of that moment, end of
--                 the hold, then peaks (pairs of time and tokens). A field exists only while it matters.
--   COUNTS  hash  scope -> leased tasks, if any
--   SHUT    zset  when to look again (ms) -> scope that blocks tasks or is held
--
-- A scope is "q" for the queue, "n<name>", or "g<group>". "n*" and "g*" are the defaults of names and groups
-- without settings of their own. Tasks without a group have no group limits, but may be held together as "g".
-- Uses   rotation breaker

local FAR = 4503599627370496 -- 2^52, the due time of a gate that waits for an event

local gates_read, some_shut, some_changed = NONE, false, false -- per call
local gated, limited, evaluate, hold_gate, read_gates, gate_of, pass_gate, judge_of, check_gates, full_buckets, write_gates

do
  local ROUNDING = 0.000001 -- ms; a sum of fractions may be a trace too small
  local BUCKET = 40 -- bytes of a memory in front of its peaks

  function gated() return queue.limited + queue.shut > 0 end

  -- Kinds of scopes that have limits in the config, by their first byte; one table for each set of kinds.
  local kinds = {}
  local function kinds_limited()
    local bits = queue.limited % BREAKERS
    if not kinds[bits] then kinds[bits] = { [QUEUE_SCOPE] = bits % 2 >= 1, [NAME_SCOPE] = bits % 4 >= 2, [GROUP_SCOPE] = bits >= 4 } end
    return kinds[bits]
  end

  function limited(scope) return kinds_limited()[byte(scope)] and scope ~= 'g' end

  local function shut(gate, reason, at)
    gate.left, some_shut = 0, true
    if at >= gate.at then gate.reason, gate.at = reason, at end
  end

  -- Computes how many tasks may pass now. If none may, `reason` and `at` are why and until when.
  function evaluate(gate)
    local left = math.huge
    if gate.rate > 0 then
      left = gate.tokens
      left = left - left % 1
    end
    if gate.max_leased > 0 then left = min(left, gate.max_leased - gate.leased) end
    gate.left = left
    local b = gate.breaker
    if left >= 1 and not b and gate.held <= NOW then return end
    gate.at = 0
    if gate.rate > 0 and gate.tokens < 1 then
      shut(gate, 'rate_limited', NOW + math.ceil((1 - gate.tokens) * 1000 / gate.rate - ROUNDING))
    end
    if gate.max_leased > 0 and gate.leased >= gate.max_leased then shut(gate, 'concurrency_limited', FAR) end
    if b and b.state == HALF_OPEN then
      gate.left = min(gate.left, b.probes_max - b.probes)
      if b.probes >= b.probes_max then shut(gate, 'breaker_open', FAR) end
    elseif b and b.state == OPEN then
      shut(gate, 'breaker_open', b.at)
    end
    if gate.held > NOW then shut(gate, 'held', gate.held) end
  end

  -- Returns the tokens of now. Tokens that were counted under other settings grew by those until the config
  -- changed; the new bucket then gets the same share. Negative elapsed time counts as zero.
  local function refill(gate, tokens, at, rate, burst)
    local most = gate.burst
    if rate == 0 then return most end
    if rate ~= gate.rate or burst ~= most then
      local changed = min(NOW, max(at, queue.limited_at))
      tokens = min(burst, tokens + max(0, changed - at) * rate / 1000) / burst * most
      at = changed
    end
    if at < NOW then tokens = tokens + (NOW - at) * gate.rate / 1000 end
    return tokens < most and tokens or most
  end

  -- Returns the default settings for a name or a group without settings of its own.
  local function default_settings(settings, n, scope)
    local kind = byte(scope)
    return kind == NAME_SCOPE and settings[n + 1] or kind == GROUP_SCOPE and settings[n + 2]
  end

  -- Reads the config of the gates with one command.
  local function read_settings(gates)
    local fields, asking, n = {}, {}, 0
    local has_limits = kinds_limited()
    for i = 1, #gates do
      local gate = gates[i]
      local scope = gate.scope
      if has_limits[byte(scope)] and scope ~= 'g' then
        n = n + 1
        fields[n], asking[n] = scope, gate
      end
    end
    if n == 0 then return end
    fields[n + 1], fields[n + 2] = 'n*', 'g*'
    local settings, breakers = call('HMGET', GATES, unpack(fields)), queue.limited >= BREAKERS
    local before, rate, burst, most -- many gates have the same settings
    for i = 1, n do
      local gate = asking[i]
      local own = settings[i] or default_settings(settings, n, gate.scope)
      if own then
        if own ~= before then
          before = own
          rate, burst, most = unpack_bytes('<ddd', own)
        end
        gate.rate, gate.burst, gate.max_leased = rate, burst, most
        if breakers and byte(gate.scope) == NAME_SCOPE then gate.numbers = { unpack_bytes('<dddd', own, 25) } end
      end
    end
  end

  -- Tokens that are given back fit only as far as the bucket had room ever since; the rest would have
  -- overflowed. A gate therefore keeps its peaks: the levels from which tokens were taken, as long as they
  -- fall. If there are too many, the two oldest become one, the higher level at the later time. That may
  -- return less, never more.
  local PEAKS_MAX = 8

  local FORMATS = {}
  local function doubles(n)
    local text = FORMATS[n]
    if not text then
      text = '<' .. string.rep('d', n)
      FORMATS[n] = text
    end
    return text
  end

  -- Returns the peaks. Unpacks them on first use, because most calls do not need them.
  local function peaks_of(gate)
    if not gate.peaks then
      local numbers = (#gate.kept - BUCKET) / 8
      gate.peaks = { unpack_bytes(doubles(numbers), gate.kept, BUCKET + 1) }
      gate.peaks[numbers + 1] = nil
    elseif gate.peaks == NONE then
      gate.peaks = {}
    end
    return gate.peaks
  end

  local function note_peak(gate)
    if gate.tokens >= gate.burst then -- a full bucket, the usual case: no other peak is higher
      gate.peaks = { NOW, gate.tokens }
      return
    end
    local peaks = peaks_of(gate)
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

  -- Returns how many of the tokens that were taken at `at` fit in.
  local function fitting(gate, tokens, at)
    local peaks, room = peaks_of(gate), gate.burst - gate.tokens
    for i = 1, #peaks, 2 do
      if peaks[i] > at then room = min(room, gate.burst - peaks[i + 1]) end
    end
    local fit = max(0, min(tokens, room))
    for i = 1, #peaks, 2 do
      if peaks[i] > at then peaks[i + 1] = peaks[i + 1] + fit end
    end
    return fit
  end

  -- Reads the memory of gates. While nothing is shut, only gates with a rate have one.
  local function read_memories(gates, every)
    local fields, asking, n = {}, {}, 0
    for i = 1, #gates do
      local gate = gates[i]
      if gate.kept == NONE and (every or gate.rate > 0 or queue.shut > 0) then
        n = n + 1
        fields[n], asking[n] = gate.scope, gate
      end
    end
    local memories = n > 0 and call('HMGET', GATE, unpack(fields))
    for i = 1, n do
      local gate, kept, tokens, at, rate, burst = asking[i], memories[i], 0, 0, 0, 0
      gate.kept = kept
      if kept then
        tokens, at, rate, burst, gate.held = unpack_bytes('<ddddd', kept)
        if at > NOW or (gate.held > 0 and gate.held <= NOW) then gate.changed, some_changed = true, true end
        if #kept > BUCKET and rate == gate.rate and burst == gate.burst then gate.peaks = false end
      end
      if gate.rate > 0 then gate.tokens = refill(gate, tokens, at, rate, burst) end
    end
  end

  -- Holds a gate until `at` (ms), 0 to end the hold. Its memory may not have been read yet.
  function hold_gate(gate, at)
    read_memories({ gate }, true)
    gate.held, gate.changed, some_changed = at, true, true
    evaluate(gate)
  end

  -- Creates a gate with all its fields (the reason is in `draw`). `kept` is its memory as bytes, false if
  -- there is none, NONE before it is read. `peaks` is false while they are packed in `kept`.
  local function new_gate(scope)
    return { scope = scope, rate = 0, burst = 0, max_leased = 0, leased = 0, tokens = 0, peaks = NONE, held = 0, taken = 0,
      left = math.huge, at = 0, reason = false, kept = NONE, changed = false, numbers = false, breaker = false }
  end

  local function read_leased(gates)
    local fields, asking = NONE, NONE
    for i = 1, #gates do
      local gate = gates[i]
      if gate.max_leased > 0 and gate.scope == 'q' then
        gate.leased = call('ZCARD', LEASED)
      elseif gate.max_leased > 0 then
        if fields == NONE then fields, asking = {}, {} end
        fields[#fields + 1] = gate.scope
        asking[#asking + 1] = gate
      end
    end
    local leased = fields ~= NONE and call('HMGET', COUNTS, unpack(fields))
    for i, gate in ipairs(asking) do gate.leased = tonumber(leased[i] or 0) end
  end

  -- Reads the gates that this call has not read yet, 300 at most, with a few commands for all. A kind without
  -- limits needs no reading while nothing is shut.
  function read_gates(scopes)
    local met, n, has_limits, every = {}, 0, kinds_limited(), queue.shut > 0
    for i = 1, #scopes do
      local scope = scopes[i]
      if not gates_read[scope] then
        if gates_read == NONE then gates_read = {} end
        local gate = new_gate(scope)
        gates_read[scope] = gate
        if every or has_limits[byte(scope)] then
          n = n + 1
          met[n] = gate
        end
      end
    end
    if n == 0 then return end
    read_settings(met)
    read_leased(met)
    read_memories(met)
    read_breakers(met)
    for i = 1, n do evaluate(met[i]) end
  end

  function gate_of(scope)
    if not gates_read[scope] then read_gates({ scope }) end
    return gates_read[scope]
  end

  -- Counts tasks that pass a gate. A negative number gives tasks back that were granted at `at`.
  function pass_gate(gate, tasks, at)
    gate.taken, gate.leased = gate.taken + tasks, gate.leased + tasks
    if gate.rate > 0 and tasks > 0 then
      note_peak(gate)
      gate.tokens = gate.tokens - tasks
    elseif gate.rate > 0 and tasks < 0 then
      gate.tokens = min(gate.burst, gate.tokens + fitting(gate, -tasks, at))
    end
    local b = gate.breaker
    if b and tasks > 0 and b.state == HALF_OPEN then b.probes, b.changed = b.probes + tasks, true end
    evaluate(gate)
  end

  -- Reports the end of a grant to the breaker of its name, as judge_grant() in `breaker`.
  function judge_of(name, granted_at, verdict)
    if queue.limited < BREAKERS then return end
    local gate = gate_of('n' .. name)
    if not gate.breaker then return end
    judge_grant(gate.breaker, granted_at, verdict)
    evaluate(gate)
  end

  -- Reads keys that are read behind the first write, so that a key of the wrong type fails the call before
  -- it. Gates that were read need no check. The others matter if the call has to say why it fell short
  -- (`short`), or if a gate changes its memory.
  function check_gates(short)
    local all = some_changed or (short and gated())
    if queue.shut > 0 or some_shut or all then call('ZCARD', SHUT) end
    for _, key in ipairs(all and { GATES, GATE, BREAKER, COUNTS } or NONE) do call('HLEN', key) end
  end

  -- Returns the bucket of an earlier limit, and whether it is full. It continues if that limit comes back.
  local function former_bucket(gate)
    if not gate.kept then return 0, 0, 0, 0, true end
    local tokens, at, rate, burst = unpack_bytes('<dddd', gate.kept)
    at = min(at, NOW)
    return tokens, at, rate, burst, tokens + (NOW - at) * rate / 1000 >= burst
  end

  -- Returns the memory of a gate, or nil: a full bucket and an ended hold need none.
  local function memory_of(gate)
    local held = gate.held
    if gate.rate == 0 then
      local tokens, at, rate, burst, full = former_bucket(gate)
      return (held > NOW or not full) and pack('<ddddd', tokens, at, rate, burst, held) or nil
    end
    local tokens = gate.tokens
    if tokens >= gate.burst and held <= NOW then return nil end
    local peaks = peaks_of(gate)
    local n = #peaks
    if n == 2 then return pack('<ddddddd', tokens, NOW, gate.rate, gate.burst, held, peaks[1], peaks[2]) end
    return pack('<ddddd', tokens, NOW, gate.rate, gate.burst, held) .. (n > 0 and pack(doubles(n), unpack(peaks)) or '')
  end

  -- Returns the gates, among `count` random ones with a memory, that no longer need it. Buckets that no call
  -- touches fill up unnoticed. Gates that this call has read are left out.
  function full_buckets(count)
    local sample, full = {}, {}
    for _, scope in ipairs(call('HRANDFIELD', GATE, count)) do
      if not gates_read[scope] then sample[#sample + 1] = new_gate(scope) end
    end
    read_settings(sample)
    read_memories(sample, true)
    for _, gate in ipairs(sample) do
      if not memory_of(gate) then full[#full + 1] = gate.scope end
    end
    return full
  end

  -- Forgets full buckets. Once there are more than FEW memories, each new one checks a sample of others, so
  -- that they never pile up.
  local FEW, SAMPLE = 32, 8
  local function forget_some()
    if call('HLEN', GATE) > FEW then many('HDEL', GATE, full_buckets(SAMPLE)) end
  end

  function write_gates()
    local kept, over, n = {}, {}, 0
    for scope, gate in pairs(gates_read) do
      if gate.changed or (gate.taken ~= 0 and gate.rate > 0) then
        local memory = memory_of(gate)
        if memory then
          kept[n + 1], kept[n + 2] = scope, memory
          n = n + 2
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
