-- verify_done: checks a page of the finished tasks that are kept, oldest first. Meanwhile tasks are appended,
-- and the oldest leave. A caller that says where the last page ended gets exactly the following entries.
--
-- ARGV   1 index of the next entry when the last page was read  2 the entry before it ('' to begin)
--        3 how many at most
-- Reply  "verified", index of the next entry or '' at the end, entries looked at, problems, the last entry,
--          how many are kept, their bytes as counted (both as of now), then the bytes of each
--        "lost" when the last entry of the page before has left
--        "absent" when the queue does not exist
-- Keeps  I25 by reporting violations
-- Uses   examine
-- Flags  no-writes

local LEFT_MAX = 1000 -- how many may leave between two pages

if not read_queue() then return { 'absent' } end
local at, last, limit = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3])
if last ~= '' and call('LINDEX', DONE, at - 1) ~= last then
  local from = max(at - 1 - LEFT_MAX, 0)
  local before, found = call('LRANGE', DONE, from, at - 1), nil
  for i = #before, 1, -1 do
    if before[i] == last then
      found = from + i
      break
    end
  end
  if not found then return { 'lost' } end
  at = found
end

local page, length = call('LRANGE', DONE, at, at + limit - 1), call('LLEN', DONE)
local reply = { 'verified', at + #page < length and format('%d', at + #page) or '', #page, problems, page[#page] or last, length, queue.done_bytes }
for i, entry in ipairs(page) do
  local id = sub(entry, 11)
  if call('HEXISTS', RES, id) == 0 then problem('finished', id, 'it is kept as finished, and its result is gone') end
  reply[7 + i] = unpack_bytes('>I4', entry, 7)
end
return reply
