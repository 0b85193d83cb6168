-- prelude: in front of every operation. It names the keys of the queue, in the order of `store/keys.rs`,
-- reads the clock once, and has what every script needs.
--
-- Rules for all Lua files:
--   Read, decide, write, reply. Readers see a script's writes all at once, but a script does not roll back:
--   no check and no error() after the first write.
--   Every loop is bounded by an argument. Lists for unpack() stay below 1,000 values.
--   Payload bytes are never decoded: cjson damages `[]` and numbers above 2^53.
--   Numbers go into commands as numbers, which are sent with 17 digits, or by format('%d') or numeral(),
--   which are faster. `..` would cut them at 14 digits.
--
-- All files are one library, whose functions Redis creates once. So values of one call must be set again by
-- each call. The endings of lines at the left margin say when they run (`store/script/dialect.rs`):
--   `-- per call`   at the start of each call of an operation whose `Uses` reaches the file
--   `-- per queue`  at the start of a call on another queue than the call before
--   `-- once`       at the start of the first call, because Redis hides its globals while a library is loaded
-- A file sets only its own variables. The exceptions are those of the lease path, listed in `.luacheckrc`.

local function globals() return ipairs, tonumber, unpack end
local ipairs, tonumber, unpack = globals() -- once
local floor, min, max = math.floor, math.min, math.max -- once
local sub, byte, format = string.sub, string.byte, string.format -- once
local pack, unpack_bytes = struct.pack, struct.unpack -- once
local call = redis.call -- once

-- Returns the key names of a queue. One is declared; the others have the same hash tag and follow from it.
-- The library remembers the names of recent queues.
local key_names, key_names_count = {}, 0
local function keys_of(declared)
  local names = key_names[declared]
  if not names then
    if key_names_count >= 1000 then key_names, key_names_count = {}, 0 end
    names = name_keys(sub(declared, 1, -6))
    key_names[declared], key_names_count = names, key_names_count + 1
  end
  return unpack(names)
end

local ARGV = argv -- per call
-- luacheck: push no max line length
local ROOT, STATE, Q, REC, PAY, MUT, HIST, DUE, LEASED, DEAD, EXPIRY, DONE, RES, TURN, MARK, MARK_OLD, REQ, REQ_AT, UNIQ, UNIQ_AT, IDEM, IDEM_AT, STALE, NAMED, LETTER, ALIKE, PRINT, FOLLOWED, LINGER, PULSE, PULSE_10S, PULSE_5M, WORKERS, GATES, GATE, BREAKER, COUNTS, SHUT = keys_of(declared) -- per queue
-- luacheck: pop

-- The first byte of a scope (`gates`), and of a moment.
local QUEUE_SCOPE, NAME_SCOPE, GROUP_SCOPE = 113, 110, 103 -- 'q', 'n', 'g'
local FROM_NOW = 43 -- '+'

-- A place is 1/2,048 of a millisecond: room for ties in order of acceptance, and for a lease's nonce.
-- ms * PLACES stays below 2^53, where doubles are exact, until the year 2109.
local PLACES = 2048

local NOW = clock() -- per call

-- Returns the moment of a text in ms: '+' ms from now, or '@' ms. Returns nil for ''.
local function moment(text)
  if text ~= '' then return tonumber(sub(text, 2)) + (byte(text) == FROM_NOW and NOW or 0) end
end

-- Returns expiry (ms) and nonce from a lease's score, which is expiry * PLACES + nonce. It is an integer
-- because Redis reads and writes fractions slowly.
local function read_score(score)
  local exact = tonumber(score)
  local nonce = exact % PLACES
  return (exact - nonce) / PLACES, nonce
end

-- Returns a whole number as text: Redis is slow at writing numbers with 17 digits. The library remembers
-- small ones.
local numerals = {}
local function numeral(n)
  local text = numerals[n]
  if not text then
    text = format('%d', n)
    if n <= 1000 then numerals[n] = text end
  end
  return text
end

-- Sends `command key [flag] a1 a2 ...` in slices that unpack() can carry. `list` has pairs or single values.
-- Returns the reply to the last slice.
local function many(command, key, list, flag)
  local last = #list
  if last == 0 then return end
  if last <= 900 and not flag then return call(command, key, unpack(list)) end
  local reply
  for from = 1, last, 900 do
    local to = min(from + 899, last)
    if flag then reply = call(command, key, flag, unpack(list, from, to)) else reply = call(command, key, unpack(list, from, to)) end
  end
  return reply
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
