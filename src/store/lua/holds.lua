-- holds: for a while nothing of a queue, a name or a group is granted, because a worker or an operator asked
-- for it.
-- Uses   gates

local holds = NONE -- per call

-- Until `at` (ms); 0 ends it.
local function hold(scope, at)
  local gate = gate_of(scope)
  recall_gate(gate)
  gate.held, gate.changed, some_changed = at, true, true
  evaluate(gate)
  if holds == NONE then holds = {} end
  holds[#holds + 1] = gate
end

-- Writes the holds, after write_gates(). A held gate is in SHUT even if nothing waits behind it.
local function write_holds()
  if holds == NONE then return end
  for _, gate in ipairs(holds) do
    if gate.held > NOW then
      call('ZADD', SHUT, gate.held, gate.scope)
    else
      call('ZADD', SHUT, 'XX', NOW, gate.scope)
    end
  end
  queue.shut = call('ZCARD', SHUT)
end
