-- verify_lane: checks a page of a lane's entries. Fresh entries are read from the youngest on: new ones are
-- appended behind, so that none slips through between two pages.
--
-- ARGV   1 lane  2 'fresh' or 'back'  3 cursor ('0' to begin)  4 about how many at most
--        5 "1" to examine the tasks, too
-- Reply  "verified", cursor of the next page or '', entries looked at, problems, then their ids
--        "absent" when the queue does not exist
-- Keeps  I4 I17 by reporting violations
-- Uses   examine
-- Flags  no-writes

if not read_queue() then return { 'absent' } end
local lane, part, cursor, limit = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local key, next_cursor = ROOT .. part .. ':' .. lane, ''
local ids, ticks = {}, {}

local function take(entry)
  ids[#ids + 1] = sub(entry, 8)
  ticks[#ids] = unpack_bytes('>I7', entry)
end

if part == 'fresh' then
  local skip = tonumber(cursor)
  local page = call('LRANGE', key, -skip - limit, -skip - 1)
  for i = 1, #page do take(page[i]) end
  if #page == limit then next_cursor = format('%d', skip + limit) end
else
  local page = call('ZSCAN', key, cursor, 'COUNT', limit)
  for i = 1, #page[2], 2 do take(page[2][i]) end
  if page[1] ~= '0' then next_cursor = page[1] end
end

local reply = { 'verified', next_cursor, #ids, problems, unpack(ids) }
if ARGV[5] ~= '1' or #ids == 0 then return reply end

local records, muts, states = call('HMGET', REC, unpack(ids)), call('HMGET', MUT, unpack(ids)), states_of(ids)
for i, id in ipairs(ids) do
  local rec = records[i]
  -- A fresh entry is stale once something has happened to its task, or the task is gone.
  if part == 'back' and not rec then problem('no_record', id, 'lane %s returns it, and there is no record', lane) end
  if rec and (part == 'back' or not muts[i]) then
    local known, task = pcall(read_record, rec)
    if known then
      local priority = muts[i] and read_mut(muts[i]).priority or task.priority
      local own = format('%d/%s/%s', priority, task.name, task.group)
      if own ~= lane then
        problem('misplaced', id, 'it lies in lane %s and belongs into %s', lane, own)
      elseif ticks[i] ~= task.tick then
        problem('misplaced', id, 'its entry tells another moment of acceptance')
      elseif part == 'fresh' then
        if #states[i] > 0 then problem('two_states', id, 'it is in several states at once: ready, %s', table.concat(states[i], ', ')) end
        if ids[i - 1] == id then problem('two_states', id, 'it lies in its lane twice') end
      end
    end
  end
end
return reply
