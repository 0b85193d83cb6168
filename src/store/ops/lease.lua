-- lease: hands out tasks, each with an exclusive and temporary right to work on it.
--
-- ARGV   1 replica  2 "1" to be told of new tasks when this falls short  3 payload bytes at most  4 nonce seed
--        5 #names  names...   6 #requests  then per request: tasks, lease_ms (0: the task's own), worker, request_id key or ''
-- Reply  "leased", now, next_at, ready, recalled requests (list of indexes),
--          "1" when another call is due (stale entries or the byte limit ended this one), then per task: request, id, record, payload or '', mutable part or '', expires_at, nonce, last attempt or ''
--        "absent" when the queue does not exist
-- Moves  ready -> leased
-- Keeps  I4 I6 I7 I10 I12 I17 I18 I19
-- Uses   task lanes draw history requests

local me, told, bytes_max, seed = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4])
local names, at = {}, 6
for i = 1, tonumber(ARGV[5]) do names[i] = ARGV[5 + i] end
at = 6 + #names

local state = call('HMGET', Q, 'version', 'order', 'aging_ms', 'ready', 'hungry')
if not state[1] then return { 'absent' } end
use_order(state[2], state[3])

local requests, recalled, want = {}, {}, 0
for i = 1, tonumber(ARGV[at]) do
  local r = { tasks = tonumber(ARGV[at + 1]), lease_ms = tonumber(ARGV[at + 2]), worker = ARGV[at + 3], key = ARGV[at + 4], given = {}, grants = {}, until_ms = 0 }
  at = at + 4
  if r.key ~= '' and call('HEXISTS', REQ, r.key) == 1 then
    recalled[#recalled + 1] = i
    r.tasks = 0
  end
  requests[i] = r
  want = want + r.tasks
end

-- Choose, then look at what was chosen. Entries of tasks that moved on are stale: dropped and made up for.
local line, first = open_line(want, names), 1
local records, muts, live, looked, bytes = {}, {}, 0, 0, 0
local full = false
while live < want and looked < want + 1000 and first <= #line and not full do
  first = choose(line, first, math.min(want - live, 256))
  if picked == looked then break end
  local ids = {}
  for i = looked + 1, picked do ids[#ids + 1] = sub(pick_entry[i], 8) end
  local recs, changed = call('HMGET', REC, unpack(ids)), call('HMGET', MUT, unpack(ids))
  for i = looked + 1, picked do
    local rec, mut = recs[i - looked], changed[i - looked]
    if rec and (pick_returned[i] or not mut) then
      local size = #rec
      if has(byte(rec, 9), BIG) then size = size + call('HSTRLEN', PAY, ids[i - looked]) end
      if live > 0 and bytes + size > bytes_max then
        full = true
        picked = i - 1
        break
      end
      live, bytes = live + 1, bytes + size
      records[i], muts[i] = rec, mut
    else
      records[i] = false
      pick_lane[i].g.pass = pick_lane[i].g.pass - 1
    end
  end
  looked = picked
end

local due, expiring = call('ZRANGE', DUE, 0, 0, 'WITHSCORES'), call('ZRANGE', LEASED, 0, 0, 'WITHSCORES')
local next_at = math.min(tonumber(due[2]) or math.huge, expiring[2] and floor(tonumber(expiring[2])) or math.huge)
if next_at == math.huge then next_at = 0 end

local reply = { 'leased', NOW, next_at, state[4], recalled, (full or (live == 0 and picked > 0)) and 1 or 0 }
local call_me = live < want and told and not string.find(state[5], me, 1, true)
if picked == 0 then
  if call_me then
    call('HDEL', Q, '') -- a full store refuses a script whose first write may grow; leasing must still work
    call('HSET', Q, 'hungry', state[5] .. me)
  end
  return reply
end

-- What each lane gave away, and each group's turns: after a cut by bytes fewer than were drawn.
local lanes, groups = {}, {}
for i = 1, picked do
  local l = pick_lane[i]
  if not l.took then
    l.took, l.took_back = 0, 0
    lanes[#lanes + 1] = l
  end
  if pick_returned[i] then l.took_back = l.took_back + 1 else l.took = l.took + 1 end
  if not l.g.turns then
    l.g.turns = 0
    groups[#groups + 1] = l.g
  end
  if records[i] then l.g.turns = l.g.turns + 1 end
end

-- Grants.
local scores, changes, bigs, seconds = {}, {}, {}, 0
local r, request = 1, requests[1]
for i = 1, picked do
  local rec = records[i]
  if rec then
    while request.tasks == #request.given do
      r = r + 1
      request = requests[r]
    end
    local id, flags = sub(pick_entry[i], 8), byte(rec, 9)
    local m, task = muts[i] and read_mut(muts[i]), nil
    local frozen = DEFAULT_LEASE_MS
    if has(flags, LEASE_MS) then
      task = read_record(rec)
      frozen = task.lease_ms
    end
    local lease_ms = request.lease_ms > 0 and request.lease_ms or frozen
    if m then
      m.grants = m.grants + 1
    elseif request.worker ~= '' or lease_ms ~= frozen then
      m = first_mut(task or read_record(rec), NOW)
    end
    local mut, last = '', ''
    if m then
      m.granted_at, m.slot, m.worker, m.flags = NOW, lease_ms, request.worker, without(m.flags, EXPIRED)
      mut = write_mut(m)
      changes[#changes + 1] = id
      changes[#changes + 1] = mut
      if m.failed > 0 then last = last_attempt(call('HGET', HIST, id)) end
    end
    local payload = has(flags, BIG) and call('HGET', PAY, id) or ''
    local nonce = (seed + i * 797) % PLACES
    local n = #scores
    scores[n + 1], scores[n + 2] = NOW + lease_ms + nonce / PLACES, id
    request.given[#request.given + 1] = id
    request.until_ms = math.max(request.until_ms, NOW + lease_ms)
    request.grants[#request.grants + 1] = m and m.grants or 1
    n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = r, id, rec, payload
    reply[n + 5], reply[n + 6], reply[n + 7], reply[n + 8] = mut, NOW + lease_ms, nonce, last
  end
end

for _, l in ipairs(lanes) do
  if not l.place then call('ZCARD', names_of(l.name)) end
end

for _, l in ipairs(lanes) do
  if l.took > 0 then call('LTRIM', ROOT .. 'fresh:' .. l.lane, l.took, -1) end
  if l.took_back > 0 then call('ZREMRANGEBYRANK', ROOT .. 'back:' .. l.lane, 0, l.took_back - 1) end
end
for _, l in ipairs(lanes) do
  local place = l.place
  if full then place = head_place(l.lane) end
  head_moved(l.group, l.member, l.priority, l.name, place)
end
for _, g in ipairs(groups) do
  if g.turns > 0 then call('ZADD', TURN, 'XX', 'INCR', g.turns, g.group) end
end
many('ZADD', LEASED, scores)
many('HSET', MUT, changes)
call('HINCRBY', Q, 'ready', -live)
if call_me then call('HSET', Q, 'hungry', state[5] .. me) end
for _, given in ipairs(requests) do
  if given.key ~= '' and #given.given > 0 then remember_request(given) end
end
return reply
