-- dead: finds dead letters, a page at a time.
--
-- ARGV   1 id if only one is meant, or ''  2 "1" newest first  3 and 4 most entries to look at and to find
--        5 died at (ms) and 6 id of the entry last looked at, or '' twice to begin
--        7 died at this ms or later, or ''  8 died before this ms, or ''
--        9 name or ''  10 group or ''  11 reason or ''  12 type of the last error or ''
--        13 text in its message or ''  14 "1" to get records
-- Reply  "dead", now, looked at, then died at (ms) and id of the entry last looked at, or 0 and '' if there
--          is no more; then per dead letter found: id, died at (ms), record or '', priority, bytes of a
--          separate payload
--        "absent" when the queue does not exist
-- Keeps  I24 I28: an entry that stays is looked at once, whatever leaves or joins between two pages
-- Uses   task history bury
-- Flags  no-writes

if call('EXISTS', STATE) == 0 then return { 'absent' } end
local only, newest_first, look, limit, seen_at, seen_id = ARGV[1], ARGV[2] == '1', tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]
local after, before, name, group, reason, kind, text, with_records =
  ARGV[7], ARGV[8], ARGV[9], ARGV[10], REASONS[ARGV[11]], ARGV[12], ARGV[13], ARGV[14] == '1'

-- Returns whether an id comes before another with the same score. Compares numbers, because Lua compares
-- texts by the locale.
local function precedes(id, other)
  local a, b, c = unpack_bytes('>I6I6I2', id)
  local x, y, z = unpack_bytes('>I6I6I2', other)
  return a < x or a == x and (b < y or b == y and c < z)
end

-- Returns the number of entries before this one, and whether it still exists: it may have been replayed or
-- purged since.
local function rank_of(died_at, id)
  local rank = call('ZRANK', DEAD, id)
  if rank then return rank, true end
  local low, high = call('ZCOUNT', DEAD, '-inf', '(' .. died_at), call('ZCOUNT', DEAD, '-inf', died_at)
  while low < high do
    local middle = floor((low + high) / 2)
    if precedes(call('ZRANGE', DEAD, middle, middle)[1], id) then low = middle + 1 else high = middle end
  end
  return low, false
end

-- Ranks that are left to look at, and the page of them that is looked at now.
local first = after ~= '' and call('ZCOUNT', DEAD, '-inf', '(' .. after) or 0
local last = (before ~= '' and call('ZCOUNT', DEAD, '-inf', '(' .. before) or call('ZCARD', DEAD)) - 1
if seen_id ~= '' then
  local rank, is_there = rank_of(seen_at, seen_id)
  if newest_first then last = min(last, rank - 1) else first = max(first, is_there and rank + 1 or rank) end
end
local page = {}
if only ~= '' then
  local died_at = call('ZSCORE', DEAD, only)
  page = died_at and { only, died_at } or page
elseif first <= last and newest_first then
  local behind = call('ZCARD', DEAD) - 1 - last
  page = call('ZREVRANGE', DEAD, behind, behind + min(look, last - first + 1) - 1, 'WITHSCORES')
elseif first <= last then
  page = call('ZRANGE', DEAD, first, min(first + look - 1, last), 'WITHSCORES')
end

local ids, died = {}, {}
for i = 1, #page, 2 do
  ids[#ids + 1], died[#died + 1] = page[i], page[i + 1]
end
local records, muts, histories = {}, {}, {}
if #ids > 0 then
  if with_records or name ~= '' or group ~= '' then records = call('HMGET', REC, unpack(ids)) end
  if with_records or reason then muts = call('HMGET', MUT, unpack(ids)) end
  if kind ~= '' or text ~= '' then histories = call('HMGET', HIST, unpack(ids)) end
end

local function matches(i)
  if with_records and not records[i] then return false end
  if name ~= '' or group ~= '' then
    local task = records[i] and read_record(records[i])
    if not task or (name ~= '' and task.name ~= name) or (group ~= '' and task.group ~= group) then return false end
  end
  if reason and not (muts[i] and floor(read_mut(muts[i]).flags / REASON) == reason) then return false end
  if kind ~= '' or text ~= '' then
    local its_kind, message = last_error(histories[i])
    if not its_kind or (kind ~= '' and its_kind ~= kind) or not string.find(message, text, 1, true) then return false end
  end
  return true
end

local reply, looked, found = { 'dead', NOW, 0, 0, '' }, 0, 0
while looked < #ids and found < limit do
  looked = looked + 1
  if matches(looked) then
    found = found + 1
    local rec, n = with_records and records[looked] or '', #reply
    reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4], reply[n + 5] = ids[looked], died[looked], rec, 0, 0
    if rec ~= '' then
      reply[n + 4] = muts[looked] and read_mut(muts[looked]).priority or read_record(rec).priority
      if has(byte(rec, FLAGS_AT), BIG) then reply[n + 5] = call('HSTRLEN', PAY, ids[looked]) end
    end
  end
end
reply[3] = looked
if only == '' and looked > 0 and looked <= last - first then
  reply[4], reply[5] = died[looked], ids[looked]
end
return reply
