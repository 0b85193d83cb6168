-- discard: deletes finished tasks before their retention ends. They left earlier, so no total changes.
--
-- ARGV   1 state: completed, cancelled, or ''  2 how many of the oldest to skip  3 how many to look at
-- Reply  "discarded", how many, how many of the oldest the next call should skip, "1" when there may be more.
--          If retention drops tasks between two calls, the next call skips as many others; those are next to
--          be dropped anyway.
--        "absent" when the queue does not exist
-- Keeps  I25 I28
-- Uses   waiting finish
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end
local letter, skip, limit = STATES[ARGV[1]], tonumber(ARGV[2]), tonumber(ARGV[3])

local page, ids, places, bytes = call('LRANGE', DONE, skip, skip + limit - 1), {}, {}, 0
for i, entry in ipairs(page) do
  local id = sub(entry, 11)
  if not letter or sub(call('HGET', RES, id) or '', 1, 1) == letter then
    ids[#ids + 1], places[#places + 1] = id, skip + i - 1
    bytes = bytes + unpack_bytes('>I4', entry, 7)
  end
end
local reply = { 'discarded', #ids, skip + #page - #ids, #page == limit and 1 or 0 }
if #ids == 0 then return reply end
for _, key in ipairs({ REC, RES, PAY, MUT, HIST }) do call('HLEN', key) end

forget(ids)
if #ids == #page and skip == 0 then
  call('LTRIM', DONE, #page, -1)
else
  for _, place in ipairs(places) do call('LSET', DONE, place, '') end
  call('LREM', DONE, #ids, '')
end
queue.done_bytes = queue.done_bytes - bytes
write_queue()
return reply
