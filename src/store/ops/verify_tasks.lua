-- verify_tasks: examines tasks, each at one moment: a page of the records, or named tasks.
--
-- ARGV   1 cursor ('' for named tasks)  2 how many at most  3... ids of named tasks
-- Reply  "verified", cursor of the next page or '', tasks looked at, problems, number of records in the
--          queue, then per lane: lane, list of its tasks that can only be in its fresh list
--        "absent" when the queue does not exist
-- Keeps  I1 I2 I4 I12 I17 I18 by reporting violations
-- Uses   examine
-- Flags  no-writes

if not read_queue() then return { 'absent' } end
local scan, skip = string.match(ARGV[1], '^(%d+) (%d+)$')
local limit, ids, records, next_cursor = tonumber(ARGV[2]), {}, {}, ''

if scan then
  -- HSCAN returns a small hash as one batch, so the cursor has how many of the batch were examined, too.
  local page = call('HSCAN', REC, scan, 'COUNT', limit)
  local entries, from = page[2], 2 * tonumber(skip)
  local last = min(#entries, from + 2 * limit)
  for i = from + 1, last, 2 do
    ids[#ids + 1] = entries[i]
    records[#ids] = entries[i + 1]
  end
  if last < #entries then
    next_cursor = format('%s %d', scan, last / 2)
  elseif page[1] ~= '0' then
    next_cursor = page[1] .. ' 0'
  end
else
  for i = 3, #ARGV do ids[i - 2] = ARGV[i] end
  if #ids > 0 then records = call('HMGET', REC, unpack(ids)) end
end

local reply = { 'verified', next_cursor, #ids, problems, call('HLEN', REC) }
if #ids == 0 then return reply end
for lane, claimed in pairs(examine(ids, records)) do
  reply[#reply + 1] = lane
  reply[#reply + 1] = claimed
end
return reply
