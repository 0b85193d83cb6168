-- history: the failed attempts of a task, in HIST by id.
--
-- Attempts follow each other. Each ends with its length (4 bytes), so that the latest is found from the end:
--   number 2 | grant 4 | started 6 | ended 6 | outcome 1 | cut 1 |
--     worker 1+n | type 1+n | message 2+n | stack 2+n

local NACKED, LEASE_EXPIRED, DEFERRALS_EXHAUSTED = 1, 2, 3

local function write_attempt(a)
  local body = pack('>I2I4I6I6BBBc0Bc0I2c0I2c0', a.number, a.grant, a.started, a.ended, a.outcome, a.cut,
    #a.worker, a.worker, #a.kind, a.kind, #a.message, a.message, #a.stack, a.stack)
  return body .. pack('>I4', #body)
end

local function last_attempt(history)
  if not history then return '' end
  return sub(history, -4 - unpack_bytes('>I4', history, #history - 3), -5)
end

-- Returns type and message of the latest error, or nil without one.
local function last_error(history)
  if not history then return nil end
  local kind, message = select(8, unpack_bytes('>I2I4I6I6BBBc0Bc0I2c0', last_attempt(history)))
  return kind, message
end

-- Returns whether the history has the grant as one whose lease ran out. Looks at HISTORY_ATTEMPTS_MAX
-- attempts at most.
local function ran_out(history, grant)
  local last = history and #history or 0
  while last > 0 do
    local at = last - 3 - unpack_bytes('>I4', history, last - 3)
    if unpack_bytes('>I4', history, at + 2) == grant then return byte(history, at + 18) == LEASE_EXPIRED end
    last = at - 1
  end
  return false
end

local function read_attempt(body)
  local a = {}
  a.number, a.grant, a.started, a.ended, a.outcome, a.cut, a.worker, a.kind, a.message, a.stack =
    unpack_bytes('>I2I4I6I6BBBc0Bc0I2c0I2c0', body)
  return a
end

-- Returns the longest beginning of at most `bytes` bytes that is valid UTF-8.
local function beginning(text, bytes)
  if #text <= bytes then return text end
  -- A byte 10xxxxxx continues a character.
  while bytes > 0 and floor(byte(text, bytes + 1) / 64) == 2 do bytes = bytes - 1 end
  return sub(text, 1, bytes)
end

-- Returns a written attempt with message and stack shortened to these lengths.
local function shortened(body, message_bytes, stack_bytes)
  local a = read_attempt(body)
  if #a.stack > stack_bytes or #a.message > message_bytes then a.cut = 1 end
  a.message, a.stack = beginning(a.message, message_bytes), beginning(a.stack, stack_bytes)
  return write_attempt(a)
end

-- Returns the history with one more attempt, within HISTORY_ATTEMPTS_MAX attempts and HISTORY_BYTES_MAX
-- bytes. The first attempt and the latest matter most. If bytes are short, the attempts between lose their
-- stacks and most of their messages. Then the first loses its stack, then the oldest between are dropped. The
-- latest always stays whole.
local function with_attempt(history, attempt)
  local latest = write_attempt(attempt)
  if not history then return latest end
  if #history + #latest <= HISTORY_BYTES_MAX and attempt.number <= HISTORY_ATTEMPTS_MAX then return history .. latest end

  local between, last, total = {}, #history, #latest -- latest first
  while last > 0 do
    local length = unpack_bytes('>I4', history, last - 3)
    between[#between + 1] = sub(history, last - 3 - length, last)
    last = last - 4 - length
  end
  local first = table.remove(between)
  for i = #between, 1, -1 do
    if i > HISTORY_ATTEMPTS_MAX - 2 then table.remove(between) else total = total + #between[i] end
  end
  if total + #first > HISTORY_BYTES_MAX then
    total = #latest
    for i, written in ipairs(between) do
      between[i] = shortened(sub(written, 1, -5), 64, 0)
      total = total + #between[i]
    end
  end
  if total + #first > HISTORY_BYTES_MAX then
    local body = sub(first, 1, -5)
    local stack_bytes = #read_attempt(body).stack
    first = shortened(body, HISTORY_BYTES_MAX, max(0, stack_bytes - (total + #first - HISTORY_BYTES_MAX)))
  end
  while total + #first > HISTORY_BYTES_MAX and #between > 0 do total = total - #table.remove(between) end

  local kept = { first }
  for i = #between, 1, -1 do kept[#kept + 1] = between[i] end
  kept[#kept + 1] = latest
  return table.concat(kept)
end
