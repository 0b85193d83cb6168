-- late: acks whose lease is not simply the current one.
-- Uses   settle lanes expiry

local late_returns, late_scheduled = NONE, NONE -- per call

-- Returns whether a lease that ran out may still be acked: nothing was decided about the task since.
local function may_be_late(id, m)
  local task = read_record(call('HGET', REC, id))
  local failed, flags = m and m.failed or 0, m and m.flags or 0
  return failed + 1 < task.max_attempts and not has(flags, CANCEL) and not has_expired(task)
end

local function judge_ack(id, score, bytes, grant, nonce)
  local m = bytes and read_mut(bytes)
  if score then
    local expires, its_nonce = read_score(score)
    if nonce == its_nonce and grant == (m and m.grants or 1) then
      if expires > NOW then return 'acked' end
      return may_be_late(id, m) and 'late' or 'lost'
    end
  elseif m and m.grants == grant and m.slot == nonce and has(m.flags, EXPIRED) then
    -- Swept but not granted since: the task waits in its lane, or is scheduled.
    local task = read_record(call('HGET', REC, id))
    local entry = entry_of(task.tick, id)
    local returned = not has_expired(task) and check_return(m.priority, task.name, task.group, entry)
    local postponed = not has_expired(task) and not returned and call('ZSCORE', DUE, id)
    if task.expires_at and (returned or postponed) then
      cannot_expire(id)
      check_expiry()
    end
    if returned then
      if late_returns == NONE then late_returns = {} end
      late_returns[#late_returns + 1] = { m.priority, task.name, task.group, entry }
      return 'late'
    end
    if postponed then
      if late_scheduled == NONE then late_scheduled = {} end
      late_scheduled[#late_scheduled + 1] = id
      return 'late'
    end
  end
  return judge(id, 'a', grant, nonce)
end

local function take_late()
  many('ZREM', DUE, late_scheduled)
  for _, r in ipairs(late_returns) do take_return(unpack(r)) end
  write_expiry()
end
