-- walk: pages over the items of several indexes. Scans one index after the other; the first index that has an
-- item shows it. There is no order beyond that of the scans.

-- Returns whether an index has an item. A `ranked` index is a sorted set, the others are hashes. `prefix` is
-- in front of the item in a field, `except` is no item, and `accepts` decides by the value of a hash whether
-- the item counts.
local function is_in(index, item)
  if item == index.except then return false end
  if index.ranked then return call('ZSCORE', index.key, item) end
  local value = call('HGET', index.key, index.prefix .. item)
  return value and (not index.accepts or index.accepts(value))
end

local function is_known(indexes, last, item)
  for i = 1, last do
    if is_in(indexes[i], item) then return true end
  end
  return false
end

-- Calls show() for up to `limit` items. Returns the cursor of the next page, or ''. The cursor is the number
-- of the index, the cursor of its scan, and how many of its batch were looked at. show() returns how many
-- entries it looked at, and `looked` is how many the caller did. The call stops at LOOK_MAX entries, but
-- looks at one at least.
local function walk(indexes, limit, cursor, looked, show)
  local at, scan, skip = string.match(cursor, '^(%d+) (%d+) (%d+)$')
  at, scan, skip = tonumber(at or 1), scan or '0', tonumber(skip or 0)
  local shown, index = 0, indexes[at]
  while index do
    if looked >= LOOK_MAX then return format('%d %s 0', at, scan) end
    local page = call(index.ranked and 'ZSCAN' or 'HSCAN', index.key, scan, 'COUNT', 100)
    looked = looked + 1 -- a batch of a sparse index may be empty
    for i = 2 * skip + 1, #page[2], 2 do
      if shown >= limit or looked >= LOOK_MAX then return format('%d %s %d', at, scan, (i - 1) / 2) end
      looked = looked + 1
      local field, value = page[2][i], page[2][i + 1]
      local item = sub(field, #index.prefix + 1)
      local is_one = sub(field, 1, #index.prefix) == index.prefix and item ~= index.except and (not index.accepts or index.accepts(value))
      if is_one and not is_known(indexes, at - 1, item) then
        shown = shown + 1
        looked = looked + show(item)
      end
    end
    scan, skip = page[1], 0
    if scan == '0' then at = at + 1 end
    index = indexes[at]
  end
  return ''
end
