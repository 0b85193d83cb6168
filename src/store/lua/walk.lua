-- walk: pages over the items of several indexes. Each index is scanned in turn, and the first one that has an
-- item shows it. There is no order.

-- Entries and lanes that this call has read.
local looked = 0 -- per call

-- `ranked` indexes are sorted sets, the others hashes. `prefix` comes before the item in a field, `but` is a
-- field that is no item, and `says` decides by a value of the hash whether the item belongs to the list.
local function stands_in(index, item)
  if item == index.but then return false end
  if index.ranked then return call('ZSCORE', index.key, item) end
  local value = call('HGET', index.key, index.prefix .. item)
  return value and (not index.says or index.says(value))
end

local function is_known(indexes, last, item)
  for i = 1, last do
    if stands_in(indexes[i], item) then return true end
  end
  return false
end

-- Calls show() with up to `limit` items. Returns the cursor of the next page, or '': the index, the cursor of
-- its scan, and the number of entries of that batch that were read. Reads at most LOOK_MAX entries, and at
-- least one, whatever show() adds to `looked`.
local function walk(indexes, limit, cursor, show)
  local at, scan, skip = string.match(cursor, '^(%d+) (%d+) (%d+)$')
  at, scan, skip = tonumber(at or 1), scan or '0', tonumber(skip or 0)
  local shown, index = 0, indexes[at]
  while index do
    if looked >= LOOK_MAX then return format('%d %s 0', at, scan) end
    local page = call(index.ranked and 'ZSCAN' or 'HSCAN', index.key, scan, 'COUNT', 100)
    looked = looked + 1 -- of a sparse one a batch may be empty
    for i = 2 * skip + 1, #page[2], 2 do
      if shown >= limit or looked >= LOOK_MAX then return format('%d %s %d', at, scan, (i - 1) / 2) end
      looked = looked + 1
      local field, value = page[2][i], page[2][i + 1]
      local item = sub(field, #index.prefix + 1)
      local is_one = sub(field, 1, #index.prefix) == index.prefix and item ~= index.but and (not index.says or index.says(value))
      if is_one and not is_known(indexes, at - 1, item) then
        shown = shown + 1
        show(item)
      end
    end
    scan, skip = page[1], 0
    if scan == '0' then at = at + 1 end
    index = indexes[at]
  end
  return ''
end
