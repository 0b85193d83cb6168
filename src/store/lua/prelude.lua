-- prelude: stands before every operation. Names the queue's keys, reads the clock once, and holds
-- what every script needs. The order of KEYS is the order of `store/keys.rs`.
--
-- House rules for everything below and behind it:
--   read -> decide -> write -> reply. A script is atomic for readers, but it does not roll back:
--   no check and no error() after the first write.
--   Every loop is bounded by an argument. Lists given to unpack() stay below 1,000 values.
--   Payload bytes are never decoded here: cjson damages `[]` and numbers above 2^53.
--   A script names the parts it always needs behind `Uses`, and those of its rare paths behind `Later`: making their
--   functions costs more than most calls do, so load_<part>() makes them when they are needed.
--   Numbers go into commands as numbers (sent with 17 digits); `..` would cut them at 14.

local Q, REC, PAY, MUT, HIST, DUE, LEASED, DEAD, DONE, RES, TURN, MARK, MARK_OLD, REQ, REQ_AT = unpack(KEYS)
local ROOT = string.sub(Q, 1, -2)
local call, floor, sub, byte = redis.call, math.floor, string.sub, string.byte
local pack, unpack_bytes = struct.pack, struct.unpack

-- A millisecond has 2,048 places: room for ties in order of acceptance, and for a lease's nonce.
-- ms * 2048 stays below 2^53, where doubles are exact, until the year 2109.
local PLACES = 2048

local NOW = --[[clock]]

local function nothing() end

-- A lease's score is its expiry in ms times PLACES, plus its nonce: an integer, because Redis writes and reads fractions slowly.
local function read_score(score)
  local exact = tonumber(score)
  local nonce = exact % PLACES
  return (exact - nonce) / PLACES, nonce
end

-- Sends `command key a1 a2 ...` in slices that unpack() can carry. `list` has pairs or single values.
local function many(command, key, list)
  local last = #list
  if last == 0 then return end
  if last <= 900 then return call(command, key, unpack(list)) end
  for from = 1, last, 900 do
    call(command, key, unpack(list, from, math.min(from + 899, last)))
  end
end
