-- lease: grants tasks, each with an exclusive and temporary right to work on it.
--
-- ARGV   1 replica  2 "1" to be woken by new tasks if this call falls short  3 "1" to get next_at in any case
--        4 payload bytes at most  5 nonce seed  6 #names  names...
--        7 #requests  then per request: tasks, lease_ms (0: the task's own), worker, request_id key or ''
--        last: until when (ms) the caller waits for the reply; 0: unknown
-- Reply  "leased", now,
--          next_at or 0 (also if not looked up),
--          when the first scheduled task is due or 0 (likewise),
--          repeated requests (list of indexes),
--          "1" when another call is due: stale entries, the byte limit or many blocked lanes ended this one,
--          tasks given per request (list),
--          extras {task, payload or '', mutable part or '', last attempt or ''} of tasks that have any,
--          why there were not more tasks and when to look again (list of a word or '', and ms or 0),
--          then per task: id, record
--        "absent" when the queue does not exist
--        "late" when the caller waits no more: Redis was blocked, or the call was delayed
-- Moves  ready -> leased
-- Keeps  I4 I6 I7 I10 I12 I17 I18 I19 I20 I21 I23
-- Uses   paused plain several expiry
-- Flags  allow-oom

local me, wants_wake, wants_next, bytes_max, seed = ARGV[1], ARGV[2] == '1', ARGV[3] == '1', tonumber(ARGV[4]), tonumber(ARGV[5])
local names = {}
for i = 1, tonumber(ARGV[6]) do names[i] = ARGV[6 + i] end
local not_after = tonumber(ARGV[#ARGV])
if not_after > 0 and NOW > not_after then return { 'late' } end
if not read_queue() then return { 'absent' } end
read_requests(7 + #names)

local ids, records, muts, take, more = NONE, NONE, NONE, nil, 0
local is_shut = is_paused(PAUSE_LEASE)
if not is_shut then
  ids, records, muts, take = plain(names, bytes_max)
  if not ids then ids, records, muts, take = one_of_each(names, bytes_max) end
  if not ids then ids, records, muts, take, more = several(names, want, bytes_max) end
end

local next_at, due = 0, nil
if wants_next or #ids < want then
  next_at, due = next_look()
  next_at = or_lease_reopens(next_at)
end

local given, reply = {}, { 'leased', NOW, next_at, not is_shut and due or 0, recalled, more, {}, extras, NONE }
grant(ids, records, muts, seed, reply)
for i, r in ipairs(requests) do given[i] = r.given end
reply[7] = given
local shut_before = queue.shut
if take then check_gates(#ids < want) end

write_counts()
if #ids > 0 then write_grants(#ids) end
if take then take() end
write_gates()
if is_shut then
  reply[9] = { 'paused', queue.paused_until }
elseif #ids < want and gated() then
  reply[9] = { why_not_more(names) }
end
local joins = wants_wake and #ids < want and not string.find(queue.hungry, me, 1, true)
if joins then queue.hungry = queue.hungry .. me end
if joins or #ids > 0 or queue.shut ~= shut_before then write_queue() end
return reply
