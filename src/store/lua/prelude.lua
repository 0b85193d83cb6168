-- prelude: runs before every operation. It names the keys of the queue, in the order of `store/keys.rs`,
-- reads the clock once, and contains helpers of all scripts.
--
-- House rules for this file and all others:
--   read -> decide -> write -> reply. A script is atomic for readers, but it does not roll back:
--   no check and no error() after the first write.
--   Every loop is bounded by an argument. Lists given to unpack() stay below 1,000 values.
--   Payload bytes are never decoded here: cjson damages `[]` and numbers above 2^53.
--   All files are one library, whose functions Redis creates once. Variables of one call are in lines that
--     end in
--   `-- per call`, which run at the start of each call of an operation whose `Uses` reaches their file.
--     Lines that end
--   in `-- once` run in the first call, because a library cannot read anything while it is loaded. Lines
--     that end in
--   `-- per queue` run in a call on another queue than the one before.
--   Numbers go into commands as numbers (sent with 17 digits), or by format('%d') or numeral(),
--     which are faster.
--   `..` would cut them at 14 digits.

local function globals() return ipairs, tonumber, unpack end
local ipairs, tonumber, unpack = globals() -- once
local floor, min, max, sub, byte, format = math.floor, math.min, math.max, string.sub, string.byte, string.format -- once
local pack, unpack_bytes = struct.pack, struct.unpack -- once
local call = redis.call -- once

-- The key names of a queue. One is declared, and the others share its hash tag. The library caches them.
local known, known_count = {}, 0
local function keys_of(declared)
  local names = known[declared]
  if not names then
    if known_count >= 1000 then known, known_count = {}, 0 end
    names = name_keys(sub(declared, 1, -6))
    known[declared], known_count = names, known_count + 1
  end
  return unpack(names)
end

local ARGV = argv -- per call
local ROOT, STATE, Q, REC, PAY, MUT, HIST, DUE, LEASED, DEAD, EXPIRY, DONE, RES, TURN, MARK, MARK_OLD, REQ, REQ_AT, UNIQ, UNIQ_AT, IDEM, IDEM_AT, STALE, NAMED, LETTER, ALIKE, PRINT, FOLLOWED, LINGER, PULSE, PULSE_10S, PULSE_5M, WORKERS, GATES, GATE, BREAKER, COUNTS, SHUT = keys_of(declared) -- per queue

-- A millisecond has 2,048 places: room for ties in order of acceptance, and for a lease's nonce.
-- ms * 2048 stays below 2^53, where doubles are exact, until the year 2109.
local PLACES = 2048

local NOW = clock() -- per call

-- Reads an instant: '+' ms from now | '@' ms; nil for ''.
local function moment(text)
  if text ~= '' then return tonumber(sub(text, 2)) + (byte(text) == 43 and NOW or 0) end
end

-- The score of a lease is its expiry in ms times PLACES, plus its nonce: an integer,
-- because Redis is slow at fractions.
local function read_score(score)
  local exact = tonumber(score)
  local nonce = exact % PLACES
  return (exact - nonce) / PLACES, nonce
end

-- Returns a small whole number as a text, because Redis is slow at writing numbers with 17 digits. The
-- library caches them.
local numerals = {}
local function numeral(n)
  local text = numerals[n]
  if not text then
    text = format('%d', n)
    if n <= 1000 then numerals[n] = text end
  end
  return text
end

-- Sends `command key [flag] a1 a2 ...` in slices that unpack() can carry. Returns the reply to the last one.
-- `list` has pairs or single values.
local function many(command, key, list, flag)
  local last = #list
  if last == 0 then return end
  if last <= 900 and not flag then return call(command, key, unpack(list)) end
  local answer
  for from = 1, last, 900 do
    local to = min(from + 899, last)
    if flag then answer = call(command, key, flag, unpack(list, from, to)) else answer = call(command, key, unpack(list, from, to)) end
  end
  return answer
end

-- Appends `value` to the list that `all` has for `key`.
local function gather(all, key, value)
  local list = all[key]
  if not list then
    list = {}
    all[key] = list
  end
  list[#list + 1] = value
end
