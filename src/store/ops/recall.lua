-- recall: returns the grants of a lease call that is repeated with the same request_id, as far as they are
-- still leased.
--
-- ARGV   1 request_id key
-- Reply  "recalled", now, then per task: id, record, payload or '', mutable part or '', last attempt or '',
--          expires_at, nonce
--        "absent" when the queue does not exist
-- Keeps  I6 I7
-- Uses   task history requests
-- Flags  allow-oom

if call('EXISTS', STATE) == 0 then return { 'absent' } end
local reply = { 'recalled', NOW }
local grants = call('HGET', REQ, ARGV[1]) or ''
for at = 2, #grants, 18 do
  local grant, id = unpack_bytes('>I4', grants, at), sub(grants, at + 4, at + 17)
  local score, bytes = call('ZSCORE', LEASED, id), call('HGET', MUT, id)
  local m = bytes and read_mut(bytes)
  local expires, nonce = read_score(score or 0)
  local rec = expires > NOW and grant == (m and m.grants or 1) and call('HGET', REC, id)
  if rec then
    local n = #reply
    reply[n + 1], reply[n + 2], reply[n + 3] = id, rec, has(byte(rec, FLAGS_AT), BIG) and call('HGET', PAY, id) or ''
    reply[n + 4], reply[n + 5] = bytes or '', m and m.failed > 0 and last_attempt(call('HGET', HIST, id)) or ''
    reply[n + 6], reply[n + 7] = expires, nonce
  end
end
-- From here on a give-back of the first caller, who may have left, does not take them back.
if #reply > 2 and byte(grants) == RETURNED_ONCE then call('HSET', REQ, ARGV[1], '1' .. sub(grants, 2)) end
return reply
