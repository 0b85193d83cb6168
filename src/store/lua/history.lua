-- history: the failed attempts kept with a task, in HIST by id.
--
-- One after the other, each followed by its length (4 bytes), so that the latest is found from the end:
--   number 2 | grant 4 | started 6 | ended 6 | outcome 1 | cut 1 | worker 1+n | type 1+n | message 2+n | stack 2+n

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

-- Type and message of the latest error, or nil without one.
local function last_error(history)
  if not history then return nil end
  local kind, message = select(8, unpack_bytes('>I2I4I6I6BBBc0Bc0I2c0', last_attempt(history)))
  return kind, message
end

-- Whether the grant is remembered as one that ran out. Looks at HISTORY_ATTEMPTS_MAX attempts at most.
local function ran_out(history, grant)
  local last = history and #history or 0
  while last > 0 do
    local at = last - 3 - unpack_bytes('>I4', history, last - 3)
    if unpack_bytes('>I4', history, at + 2) == grant then return byte(history, at + 18) == LEASE_EXPIRED end
    last = at - 1
  end
  return false
end

-- An attempt between the first and the latest gives up its stack and most of its message.
local function shortened(body)
  local a = {}
  a.number, a.grant, a.started, a.ended, a.outcome, a.cut, a.worker, a.kind, a.message, a.stack =
    unpack_bytes('>I2I4I6I6BBBc0Bc0I2c0I2c0', body)
  if #a.stack > 0 or #a.message > 64 then a.cut = 1 end
  a.stack, a.message = '', sub(a.message, 1, 64)
  return write_attempt(a)
end

-- The history with one more attempt: the last HISTORY_ATTEMPTS_MAX, at most HISTORY_BYTES_MAX.
local function with_attempt(history, attempt)
  local latest = write_attempt(attempt)
  if not history then return latest end
  if #history + #latest <= HISTORY_BYTES_MAX and attempt.number <= HISTORY_ATTEMPTS_MAX then return history .. latest end

  local bodies, last = {}, #history
  while last > 0 and #bodies < HISTORY_ATTEMPTS_MAX - 1 do
    local length = unpack_bytes('>I4', history, last - 3)
    table.insert(bodies, 1, sub(history, last - 3 - length, last - 4))
    last = last - 4 - length
  end
  local total = 0
  for i, body in ipairs(bodies) do
    bodies[i] = i > 1 and shortened(body) or body .. pack('>I4', #body)
    total = total + #bodies[i]
  end
  if total + #latest > HISTORY_BYTES_MAX then
    total = total - #bodies[1]
    bodies[1] = shortened(sub(bodies[1], 1, -5))
    total = total + #bodies[1]
  end
  while total + #latest > HISTORY_BYTES_MAX and #bodies > 1 do
    total = total - #table.remove(bodies, 2)
  end
  return table.concat(bodies) .. latest
end
