-- list: lists ids of one state, page by page.
--
-- ARGV   1 state, or unfinished (scheduled, ready, leased), or live (these and dead)
--        2 how many at most  3 cursor or ''  4 name or ''  5 group or ''  6 "1" not to cut a batch of a scan
-- Reply  "listed", cursor of the next page or '', ids...
--        "absent" when the queue does not exist
-- Order  scheduled by due time, leased by expiry; dead, completed and cancelled newest first; the others
--          without order.
--        Looks at LOOK_MAX entries at most: a page may be short or empty though a cursor is there.
-- Keeps  I28
-- Uses   task
-- Flags  no-writes

if call('EXISTS', STATE) == 0 then return { 'absent' } end
local wanted, limit, cursor, name, group = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4] or '', ARGV[5] or ''
local ids, next_cursor = {}, ''
local filtered = name ~= '' or group ~= ''

local function matches(rec)
  if not filtered then return true end
  if not rec then return false end
  local task = read_record(rec)
  return (name == '' or task.name == name) and (group == '' or task.group == group)
end

-- Lists a sorted set after the entry that the cursor names ("score id"), whether that still exists or not.
local function by_score(key, newest_first)
  local from, score, id = 0, string.match(cursor, '^(%S+) (.+)$')
  if id then
    local rank = call(newest_first and 'ZREVRANK' or 'ZRANK', key, id)
    if rank then from = rank + 1
    elseif newest_first then from = call('ZCOUNT', key, '(' .. score, '+inf')
    else from = call('ZCOUNT', key, '-inf', '(' .. score) end
  end
  local size = filtered and LOOK_MAX or limit
  local page = call(newest_first and 'ZREVRANGE' or 'ZRANGE', key, from, from + size - 1, 'WITHSCORES')
  for i = 1, #page, 2 do
    if matches(filtered and call('HGET', REC, page[i])) then ids[#ids + 1] = page[i] end
    if #ids == limit or i == 2 * size - 1 then
      next_cursor = page[i + 1] .. ' ' .. page[i]
      return
    end
  end
end

-- Lists finished tasks, newest first. The cursor is the entry last seen and the number of newer ones.
local function by_finish(letter)
  local skip, seen = string.match(cursor, '^(%d+) (.+)$')
  skip = tonumber(skip or 0)
  local page = call('LRANGE', DONE, -skip - LOOK_MAX, -skip - 1)
  local looked, passed = 0, not seen
  for i = #page, 1, -1 do
    looked = looked + 1
    local id = sub(page[i], 11)
    -- Tasks that finished since the last page pushed the seen entry back. If it is gone, so are all entries
    -- behind it.
    if passed and sub(call('HGET', RES, id) or '', 1, 1) == letter and matches(filtered and call('HGET', REC, id)) then
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

local function is_wanted(id)
  if call('HEXISTS', RES, id) == 1 or (wanted ~= 'live' and call('ZSCORE', DEAD, id)) then return false end
  return wanted ~= 'ready' or not (call('ZSCORE', LEASED, id) or call('ZSCORE', DUE, id))
end

-- Lists tasks with a record that are in no other index, as ready ones are. The cursor is that of HSCAN, and
-- how many of its batch were looked at. That number would skip tasks if listed ones may be gone when the next
-- page is read. For such callers (`whole`) no batch is cut.
local function by_record(whole)
  local scan, skip = string.match(cursor, '^(%d+) (%d+)$')
  scan, skip = scan or '0', tonumber(skip or 0)
  local looked = 0
  repeat
    local page = call('HSCAN', REC, scan, 'COUNT', min(limit, 250))
    local before = #ids
    for i = skip * 2 + 1, #page[2], 2 do
      local id = page[2][i]
      looked = looked + 1
      if matches(page[2][i + 1]) and is_wanted(id) then
        if #ids >= limit and not (whole and before == 0) then
          if whole then
            for n = #ids, before + 1, -1 do ids[n] = nil end
            i = 1
          end
          next_cursor = format('%s %d', scan, (i - 1) / 2)
          return
        end
        ids[#ids + 1] = id
      end
    end
    scan, skip = page[1], 0
  until scan == '0' or looked >= LOOK_MAX or #ids >= limit
  if scan ~= '0' then next_cursor = scan .. ' 0' end
end

if wanted == 'scheduled' then by_score(DUE)
elseif wanted == 'leased' then by_score(LEASED)
elseif wanted == 'dead' then by_score(DEAD, true)
elseif wanted == 'completed' then by_finish('c')
elseif wanted == 'cancelled' then by_finish('x')
else by_record(ARGV[6] == '1') end
return { 'listed', next_cursor, unpack(ids) }
