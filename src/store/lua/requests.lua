-- requests: a lease call with a request_id that is repeated gets the same grants.
--
--   REQ     hash  key -> 1 byte: "0", or "1" once the grants were returned again | (grant 4 | id 14) ...
--   REQ_AT  zset  when the last of its leases ends -> key

local REQUESTS_MAX = 100000
local RETURNED_ONCE, RETURNED_AGAIN = 48, 49 -- '0' and '1', the first byte of a field in REQ

-- Returns whether the call came before and its leases may still run.
local function is_repeated(key)
  local ends = call('ZSCORE', REQ_AT, key)
  return call('HEXISTS', REQ, key) == 1 and ends and tonumber(ends) > NOW
end

-- Returns whether the grants of a call were returned a second time. The second caller may work on them,
-- whatever became of the first. Each grant of a call asks this; Redis is read once.
local recalled_calls = NONE -- per call
local function was_recalled(key)
  if key == '' then return false end
  if recalled_calls == NONE then recalled_calls = {} end
  if recalled_calls[key] == nil then recalled_calls[key] = byte(call('HGET', REQ, key) or '') == RETURNED_AGAIN end
  return recalled_calls[key]
end

local function remember_request(r)
  for _, key in ipairs(call('ZRANGEBYSCORE', REQ_AT, '-inf', NOW, 'LIMIT', 0, 16)) do
    call('ZREM', REQ_AT, key)
    call('HDEL', REQ, key)
  end
  if call('ZCARD', REQ_AT) >= REQUESTS_MAX then call('HDEL', REQ, call('ZPOPMIN', REQ_AT)[1]) end
  call('HSET', REQ, r.key, '0' .. table.concat(r.grants))
  call('ZADD', REQ_AT, r.until_ms, r.key)
end
