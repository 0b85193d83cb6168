-- dead_groups: groups of dead letters by error fingerprint, in the order of fingerprints.
--
-- ARGV   1 fingerprint after which to continue, or ''  2 how many at most
-- Reply  "grouped", the last fingerprint or '' at the end,
--          then per group: fingerprint, name, error type, masked message, count, first and last died at (ms),
--          id of the last
--        "absent" when the queue does not exist
-- Keeps  I24 I28: counts, times and samples are read from the index, so they cannot drift
-- Uses   deaths
-- Flags  no-writes

if call('EXISTS', Q) == 0 then return { 'absent' } end
local from, reply = ARGV[1] == '' and '-' or end_of_print(ARGV[1]), { 'grouped', '' }
for _ = 1, tonumber(ARGV[2]) do
  local first = call('ZRANGEBYLEX', ALIKE, from, '+', 'LIMIT', 0, 1)[1]
  if not first then
    reply[2] = ''
    break
  end
  local print, first_at = read_alike(first)
  from = end_of_print(print)
  local _, last_at, id = read_alike(call('ZREVRANGEBYLEX', ALIKE, from, '[' .. print, 'LIMIT', 0, 1)[1])
  local name, kind, message = read_print(call('HGET', PRINT, print))
  local n = #reply
  reply[2] = print
  reply[n + 1], reply[n + 2], reply[n + 3], reply[n + 4] = print, name, kind, message
  reply[n + 5], reply[n + 6], reply[n + 7] = call('ZLEXCOUNT', ALIKE, '[' .. print, from), first_at, last_at
  reply[n + 8] = id
end
return reply
