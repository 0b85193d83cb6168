-- latency: how long tasks waited, ran and took from end to end, counted in the buckets of
-- `domain/latency.rs`.
--
--   latencies  for each of wait, run, end to end: sum in ms 6 | #buckets 1 | per bucket: bucket 1, count 3
--   window     number 4 | latencies

local SUM_MAX, COUNT_MAX, NO_BUCKET = 2 ^ 48 - 1, 2 ^ 24 - 1, 255

local function no_latencies()
  return { { sum = 0, counts = {} }, { sum = 0, counts = {} }, { sum = 0, counts = {} } }
end

local function add_latencies(kinds, bytes, at)
  for _, kind in ipairs(kinds) do
    local sum, buckets
    sum, buckets, at = unpack_bytes('>I6B', bytes, at)
    kind.sum = min(kind.sum + sum, SUM_MAX)
    for _ = 1, buckets do
      local bucket, count
      bucket, count, at = unpack_bytes('>BI3', bytes, at)
      kind.counts[bucket] = min((kind.counts[bucket] or 0) + count, COUNT_MAX)
    end
  end
end

local function window_of(number, kinds)
  local out = { pack('>I4', number) }
  for _, kind in ipairs(kinds) do
    local head, buckets = #out + 1, 0
    for bucket, count in pairs(kind.counts) do
      buckets = buckets + 1
      out[head + buckets] = pack('>BI3', bucket, count)
    end
    out[head] = pack('>I6B', kind.sum, buckets)
  end
  return table.concat(out)
end

-- Returns the buckets of the median and the 95th percentile of each kind.
local function percentiles(kinds)
  local out = ''
  for _, kind in ipairs(kinds) do
    local total, seen, p50, p95 = 0, 0, NO_BUCKET, NO_BUCKET
    for _, count in pairs(kind.counts) do total = total + count end
    for bucket = 0, total > 0 and NO_BUCKET - 1 or -1 do
      seen = seen + (kind.counts[bucket] or 0)
      if p50 == NO_BUCKET and seen >= 0.5 * total then p50 = bucket end
      if p95 == NO_BUCKET and seen >= 0.95 * total then p95 = bucket end
    end
    out = out .. string.char(p50, p95)
  end
  return out
end
