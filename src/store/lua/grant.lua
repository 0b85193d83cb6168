-- grant: reads the requests of a lease call and hands out the chosen tasks.
-- Uses   rotation task unique history requests expiry

-- `recalled` has the indexes of repeated requests, which get no new tasks; `want` is the sum of the others.
local requests, recalled, want = {}, NONE, 0 -- per call

local function read_requests(at)
  for i = 1, tonumber(ARGV[at]) do
    local r = { tasks = tonumber(ARGV[at + 1]), lease_ms = tonumber(ARGV[at + 2]), worker = ARGV[at + 3], key = ARGV[at + 4], given = 0 }
    at = at + 4
    if r.key ~= '' and is_repeated(r.key) then
      if recalled == NONE then recalled = {} end
      recalled[#recalled + 1] = i
      r.tasks = 0
    end
    requests[i] = r
    want = want + r.tasks
  end
end

-- Decides the leases of the tasks in `ids` and puts them into the reply. `records` and `muts` (mutable parts
-- or false) belong to them. The n-th nonce of a call is (seed + n * 797) % PLACES, which the caller knows as
-- well.
local scores, granted, extras = {}, NONE, {} -- per call

local function grant(ids, records, muts, seed, reply)
  local n, s, at, request, left = #reply, 0, 0, nil, 0
  for i = 1, #ids do
    while left == 0 do
      at = at + 1
      request = requests[at]
      left = request.tasks
    end
    left = left - 1
    request.given = request.given + 1
    local id, rec = ids[i], records[i]
    local flags, lease_ms = byte(rec, FLAGS_AT), request.lease_ms
    -- LEASE_MS, or one of BIG, UNIQUE and EXPIRES: the flags that matter here.
    local m = muts[i] or request.worker ~= '' or lease_ms > 0 or flags % (2 * LEASE_MS) >= LEASE_MS or flags >= BIG
    if m then
      local task = read_record(rec)
      free_at_grant(id, task)
      lease_ms = lease_ms > 0 and lease_ms or task.lease_ms
      m = muts[i] and read_mut(muts[i])
      if m then
        m.grants = m.grants + 1
      elseif request.worker ~= '' or lease_ms ~= task.lease_ms then
        m = first_mut(task, NOW)
      end
      local mut, last = '', ''
      if m then
        m.granted_at, m.slot, m.worker, m.flags = NOW, lease_ms, request.worker, without(m.flags, EXPIRED)
        mut = write_mut(m)
        if granted == NONE then granted = {} end
        granted[#granted + 1] = id
        granted[#granted + 1] = mut
        if m.failed > 0 then last = last_attempt(call('HGET', HIST, id)) end
      end
      if has(flags, EXPIRES) then cannot_expire(id) end
      extras[#extras + 1] = { i, has(flags, BIG) and call('HGET', PAY, id) or '', mut, last }
    else
      lease_ms = DEFAULT_LEASE_MS
    end
    if request.key ~= '' then
      request.grants = request.grants or {}
      request.grants[#request.grants + 1] = pack('>I4', m and m.grants or 1) .. id
      request.until_ms = max(request.until_ms or 0, NOW + lease_ms)
    end
    scores[s + 1], scores[s + 2] = format('%d', (NOW + lease_ms) * PLACES + (seed + i * 797) % PLACES), id
    s = s + 2
    reply[n + 1], reply[n + 2] = id, rec
    n = n + 2
  end
  check_expiry()
end

local function write_grants(count)
  many('ZADD', LEASED, scores)
  many('HSET', MUT, granted)
  write_freed()
  write_expiry()
  queue.ready, queue.leased_at = queue.ready - count, NOW
  for _, r in ipairs(requests) do
    if r.grants then remember_request(r) end
  end
end
