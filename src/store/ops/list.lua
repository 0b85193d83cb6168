-- list: ids of one state, page by page.
--
-- ARGV   1 state  2 how many at most  3 cursor or ''
-- Reply  "listed", cursor of the next page or '', ids...
--        "absent" when the queue does not exist
-- Order  scheduled by due time, leased by expiry, dead, completed and cancelled newest first, ready as they lie.
--        Looks at 1,000 entries at most: a page may be short, even empty, while a cursor is there.
-- Keeps  I28

if call('EXISTS', Q) == 0 then return { 'absent' } end
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

-- The finished ones, newest first. The cursor is how far from the newest, and the entry last seen there.
local function by_finish(letter)
  local skip, seen = string.match(cursor, '^(%d+) (.+)$')
  skip = tonumber(skip or 0)
  local page = call('LRANGE', DONE, -skip - LOOK_MAX, -skip - 1)
  local looked, last = 0, nil
  for i = #page, 1, -1 do
    looked, last = looked + 1, page[i]
    local id = sub(page[i], 11)
    if (not seen or page[i] < seen) and sub(call('HGET', RES, id) or '', 1, 1) == letter then
      ids[#ids + 1] = id
      if #ids == limit then break end
    end
  end
  if looked < #page or #page == LOOK_MAX then next_cursor = string.format('%d ', skip + looked) .. last end
end

-- Ready tasks are those with a record that no other index knows. The cursor is that of HSCAN, and how many of its batch were handed out.
local function by_record()
  local scan, skip = string.match(cursor, '^(%d+) (%d+)$')
  scan, skip = scan or '0', tonumber(skip or 0)
  local looked = 0
  repeat
    local page = call('HSCAN', REC, scan, 'COUNT', limit)
    local met = 0
    for i = 1, #page[2], 2 do
      local id = page[2][i]
      looked = looked + 1
      if not call('ZSCORE', LEASED, id) and not call('ZSCORE', DUE, id) and not call('ZSCORE', DEAD, id) and call('HEXISTS', RES, id) == 0 then
        met = met + 1
        if met > skip then
          if #ids == limit then
            next_cursor = scan .. ' ' .. (met - 1)
            return
          end
          ids[#ids + 1] = id
        end
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
