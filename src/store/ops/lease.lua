-- lease: hands out tasks, each with an exclusive and temporary right to work on it.
--
-- ARGV   1 replica  2 "1" to be told of new tasks when this falls short  3 "1" to be told next_at in any case
--        4 payload bytes at most  5 nonce seed  6 #names  names...  7 #requests  then per request: tasks, lease_ms (0: the task's own), worker, request_id key or ''
-- Reply  "leased", now, next_at or 0 (also when nobody looked), recalled requests (list of indexes), "1" when another call is due (stale entries or the
--          byte limit ended this one), tasks given per request (list), extras, then per task: id, record
--          extras: {task, payload or '', mutable part or '', last attempt or ''} for tasks that have any of these
--        "absent" when the queue does not exist
-- Moves  ready -> leased
-- Keeps  I4 I6 I7 I10 I12 I17 I18 I19
-- Uses   grant several expiry
-- Flags  allow-oom

local me, told, look, bytes_max, seed = ARGV[1], ARGV[2] == '1', ARGV[3] == '1', tonumber(ARGV[4]), tonumber(ARGV[5])
local names = {}
for i = 1, tonumber(ARGV[6]) do names[i] = ARGV[6 + i] end
if not read_queue() then return { 'absent' } end
read_requests(7 + #names)

-- The usual queue: one group, one lane, nothing returned, nothing stale, nothing large. Nil for any other.
local function plain()
  local turn = #names == 0 and want > 0 and want <= 256 and call('ZRANGE', TURN, 0, 1)
  if not turn or #turn ~= 1 then return nil end
  local heads = call('ZRANGE', heads_of(turn[1]), 0, 1)
  if #heads ~= 1 then return nil end
  local lane = heads[1] .. '/' .. turn[1]
  if call('EXISTS', ROOT .. 'back:' .. lane) == 1 then return nil end
  local fresh = call('LRANGE', ROOT .. 'fresh:' .. lane, 0, want)
  local ids, count = {}, min(want, #fresh)
  if count == 0 then return nil end
  for i = 1, count do ids[i] = sub(fresh[i], 8) end
  local records, bytes = call('HMGET', REC, unpack(ids)), 0
  local muts = call('EXISTS', MUT) == 1 and call('HMGET', MUT, unpack(ids)) or {}
  for i = 1, count do
    local rec = records[i]
    if not rec or muts[i] or byte(rec, 9) >= 32 then return nil end
    bytes = bytes + #rec
  end
  if bytes > bytes_max then return nil end
  local priority, name = string.match(heads[1], '^(%d+)/(.*)$')
  local after = fresh[count + 1]
  if not after then call('ZCARD', names_of(name)) end
  return ids, records, muts, function()
    call('LTRIM', ROOT .. 'fresh:' .. lane, count, -1)
    -- Nobody is there to take turns with, and heads are lower bounds: both may stay while the lane has entries.
    if not after then
      call('DEL', heads_of(turn[1]))
      call('ZREM', names_of(name), priority .. '/' .. turn[1])
      call('ZREM', TURN, turn[1])
    end
  end
end

local ids, records, muts, take = plain()
local more = 0
if not ids then
  ids, records, muts, take, more = several(names, want, bytes_max)
end

local next_at = (look or #ids < want) and next_look() or 0

local given, reply = {}, { 'leased', NOW, next_at, recalled, more, {}, extras }
grant(ids, records, muts, seed, reply)
for i, r in ipairs(requests) do given[i] = r.given end
reply[6] = given

take()
if #ids > 0 then write_grants(#ids) end
local joins = told and #ids < want and not string.find(queue.hungry, me, 1, true)
if joins then queue.hungry = queue.hungry .. me end
if joins or #ids > 0 then write_queue() end
return reply
