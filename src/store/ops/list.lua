-- list: ids of one state, page by page.
--
-- ARGV   1 state  2 how many at most  3 cursor or ''
-- Reply  "listed", cursor of the next page or '', ids...
--        "absent" when the queue does not exist
-- Order  scheduled by due time, leased by expiry, dead, completed and cancelled newest first, ready as they lie.
--        Looks at 1,000 entries at most: a page may be short, even empty, while a cursor is there.
-- Keeps  I28
-- Flags  no-writes

if call('EXISTS', STATE) == 0 then return { 'absent' } end
local wanted, limit, cursor = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local ids, next_cursor, LOOK_MAX = {}, '', 1000

-- A sorted set, from behind the entry that the cursor names ("score id"), whether that still exists or not.
local function by_score(key, newest_first)
  local from, score, id = 0, string.match(cursor, '^(%S+) (.+)$')
  if id then
    local rank = call(newest_first and 'ZREVRANK' or 'ZRANK', key, id)
    if rank then from = rank + 1
    elseif newest_first then from = call('ZCOUNT', key, '(' .. score, '+inf')
    else from = call('ZCOUNT', key, '-inf', '(' .. score) end
  end
  local page = call(newest_first and 'ZREVRANGE' or 'ZRANGE', key, from, from + limit - 1, 'WITHSCORES')
  for i = 1, #page, 2 do ids[#ids + 1] = page[i] end
  if #ids == limit then next_cursor = page[#page] .. ' ' .. page[#page - 1] end
end

-- The finished ones, newest first. The cursor is how many are newer than the entry last seen, and that entry.
local function by_finish(letter)
  local skip, seen = string.match(cursor, '^(%d+) (.+)$')
  skip = tonumber(skip or 0)
  local page = call('LRANGE', DONE, -skip - LOOK_MAX, -skip - 1)
  local looked, passed = 0, not seen
  for i = #page, 1, -1 do
    looked = looked + 1
    local id = sub(page[i], 11)
    -- What finished since the last page pushed the seen one further away; if it is gone, so is all behind it.
    if passed and sub(call('HGET', RES, id) or '', 1, 1) == letter then
      ids[#ids + 1] = id
      if #ids == limit then break end
    end
    passed = passed or page[i] == seen
  end
  if looked < #page or #page == LOOK_MAX then
    next_cursor = passed and format('%d ', skip + looked - 1) .. page[#page - looked + 1]
      or format('%d ', skip + looked) .. seen
  end
end

-- Ready tasks are those with a record that no other index knows. The cursor is that of HSCAN, and how many of its batch
-- were looked at: those that were handed out may be no longer ready when the next page is read.
local function by_record()
  local scan, skip = string.match(cursor, '^(%d+) (%d+)$')
  scan, skip = scan or '0', tonumber(skip or 0)
  local looked = 0
  repeat
    local page = call('HSCAN', REC, scan, 'COUNT', limit)
    for i = skip * 2 + 1, #page[2], 2 do
      local id = page[2][i]
      looked = looked + 1
      if not call('ZSCORE', LEASED, id) and not call('ZSCORE', DUE, id) and not call('ZSCORE', DEAD, id) and call('HEXISTS', RES, id) == 0 then
        if #ids == limit then
          next_cursor = format('%s %d', scan, (i - 1) / 2)
          return
        end
        ids[#ids + 1] = id
      end
    end
    scan, skip = page[1], 0
  until scan == '0' or looked >= LOOK_MAX or #ids == limit
  if scan ~= '0' then next_cursor = scan .. ' 0' end
end

if wanted == 'scheduled' then by_score(DUE)
elseif wanted == 'leased' then by_score(LEASED)
elseif wanted == 'dead' then by_score(DEAD, true)
elseif wanted == 'completed' then by_finish('c')
elseif wanted == 'cancelled' then by_finish('x')
else by_record() end
return { 'listed', next_cursor, unpack(ids) }
