-- deaths: dead letters by cause. Failures that differ only in numbers and ids have one fingerprint.
--
--   LETTER  hash  id -> bytes 4 | fingerprint
--   ALIKE   zset  0 -> fingerprint | died at 6 | id 14, in the order of bytes: grouped by fingerprint, oldest
--                 first
--   PRINT   hash  fingerprint -> name 1+n | error type 1+n | masked message 2+n; 'other' has none

local OTHER = 'other'
-- Memory that Redis spends on a dead letter beyond its own bytes, so that dead_max_bytes means memory.
local LETTER_COST = 400

local function fingerprint(name, kind, message) return sub(redis.sha1hex(name .. '\0' .. kind .. '\0' .. message), 1, 12) end

local function write_print(name, kind, message) return pack('>Bc0Bc0I2c0', #name, name, #kind, kind, #message, message) end

local function read_print(bytes)
  if not bytes then return '', '', '' end
  local name, kind, message = unpack_bytes('>Bc0Bc0I2c0', bytes)
  return name, kind, message
end

local function alike_member(print, died_at, id) return print .. pack('>I6', died_at) .. id end

local function read_alike(member)
  local at = #member - 19
  return sub(member, 1, at - 1), unpack_bytes('>I6', member, at), sub(member, at + 6)
end

-- Returns the lexical end of a fingerprint's letters: no time begins with the byte 255.
local function end_of_print(print) return '(' .. print .. '\255' end

local function has_letters(print)
  return #call('ZRANGEBYLEX', ALIKE, '[' .. print, end_of_print(print), 'LIMIT', 0, 1) > 0
end

-- Returns the fingerprint under which a death is counted: `other` once there are DEAD_GROUPS_MAX
-- fingerprints.
local function counted_print(name, kind, message)
  local print = fingerprint(name, kind, message)
  if call('HEXISTS', PRINT, print) == 1 then return print end
  if call('HLEN', PRINT) >= DEAD_GROUPS_MAX then return OTHER end
  call('HSET', PRINT, print, write_print(name, kind, message))
  return print
end

-- Returns the number of dead letters and their bytes.
local function dead_size()
  local count = call('ZCARD', DEAD)
  return count, tonumber(call('HGET', Q, 'dead_bytes') or 0) + count * LETTER_COST
end

-- Returns whether new tasks are refused because one more dead letter of the average size has no room.
local function refuses_for_dead()
  if queue.dead_on_full ~= REJECT_ENQUEUE then return false end
  local count, bytes = dead_size()
  return count >= queue.dead_max_size or (count > 0 and bytes + bytes / count > queue.dead_max_bytes)
end
