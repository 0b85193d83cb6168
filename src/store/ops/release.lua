-- release: workers give tasks back without spending the attempt. The service does so, too, for callers that
-- left before they got their response (give-back).
--
-- ARGV   1 replica  2 #items  then per item: id, grant, nonce, how ('' old place | 'g' give-back | '+' ms |
--          '@' ms), chance in millionths for the jitter of an exhausted deferral, what is held until then,
--          too ('' | 'q' | 'n' | 'g'), or for a give-back the request_id key of the call or ''
-- Reply  "settled", now, how many gates may let tasks through again, then per item
--          {"released" | "already", state, run_at or 0[, expires_at if it waits again]} |
--          {"lost"} | {"unknown"}
--          state: r ready, s scheduled, d dead, x cancelled
--        "absent" when the queue does not exist
-- Moves  leased -> ready | scheduled; past max_deferrals -> scheduled | dead; cancelled if requested; dead if
--          it has expired
-- Keeps  I3 I4 I6 I7 I9 I12 I19 I20 I21 I22
-- Uses   settle retry holds requests
-- Flags  allow-oom

if not read_queue() then return { 'absent' } end
local me, count = ARGV[1], tonumber(ARGV[2])
read_leases(3, count, 6)

-- Returns the tokens of a give-back, whose grant its caller never got.
local function refund(name, group, granted_at)
  for _, scope in ipairs({ 'q', 'n' .. name, 'g' .. group }) do
    if limited(scope) then pass_gate(gate_of(scope), -1, granted_at) end
  end
end

local reply, ended = { 'settled', NOW, 0 }, {}
for i = 1, count do
  local at = 3 + (i - 1) * 6
  local id, grant, nonce, how = item_ids[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), ARGV[at + 3]
  local expires, m = current_lease(i, grant, nonce)
  local stays = how == 'g' and was_recalled(ARGV[at + 5])
  if expires and (expires > NOW or how == 'g') and not stays then
    local rec = call('HGET', REC, id)
    local task = read_record(rec)
    m = m or first_mut(task, expires - task.lease_ms)
    local becomes, run_at = 'r', 0
    if how == '' or how == 'g' then
      if has(m.flags, CANCEL) then
        cancel_now(id, m, rec)
        becomes = 'x'
      elseif has_expired(task) then
        die(id, m, task, rec, 'expired')
        becomes = 'd'
      else
        ready_at(id, m, task, m.place)
      end
    else
      run_at = moment(how)
      m.deferrals = m.deferrals + 1
      if m.deferrals > queue.max_deferrals then
        local attempt = { number = m.failed + 1, grant = grant, started = m.granted_at, ended = NOW, outcome = DEFERRALS_EXHAUSTED,
          worker = m.worker, kind = 'deferrals_exhausted', message = 'released more often than max_deferrals allows', stack = '', cut = 0 }
        run_at = max(run_at, NOW + backoff(task.retry, m.failed + 1, tonumber(ARGV[at + 4]) / 1000000))
        becomes, run_at = fail(id, m, task, rec, attempt, { run_at = run_at })
      elseif has(m.flags, CANCEL) then
        cancel_now(id, m, rec)
        becomes, run_at = 'x', 0
      elseif has_expired(task) then
        die(id, m, task, rec, 'expired')
        becomes, run_at = 'd', 0
      elseif run_at > NOW then
        wait_until(id, m, task, run_at)
        becomes = 's'
      else
        ready_at(id, m, task, place_at(NOW, task.tick))
        run_at = 0
      end
    end
    -- The hold applies whatever becomes of this task: the upstream asked it of all of them.
    local held_scope = ARGV[at + 5]
    if held_scope ~= '' and how ~= '' and how ~= 'g' then
      local scope = held_scope == 'n' and 'n' .. task.name or held_scope == 'g' and 'g' .. task.group or 'q'
      local asked = tonumber(sub(how, 2)) + (byte(how) == FROM_NOW and NOW or 0)
      if asked > NOW then hold(scope, max(gate_of(scope).held, asked)) end
    end
    m.slot, m.worker = nonce, ''
    keep_mut(id, m)
    if how ~= 'g' then mark_step(id, 'r', grant, nonce, becomes, 0, 0, run_at) end
    ended[#ended + 1] = id
    tally(task.name, task.group, -1)
    judge_of(task.name, m.granted_at, nil)
    if how == 'g' then refund(task.name, task.group, m.granted_at) end
    reply[3 + i] = { 'released', becomes, run_at, (becomes == 'r' or becomes == 's') and task.expires_at or nil }
  else
    local word, was
    if expires then word = 'lost' else word, was = judge(id, 'r', grant, nonce) end
    reply[3 + i] = word == 'already' and { word, was.state, was.next_at } or { word }
  end
end
if #ended == 0 then return reply end
check_writes()
check_marks()

reply[3] = write_decisions(me, ended)
write_holds()
write_marks()
write_queue()
return reply
