-- holds: nothing of a queue, a name or a group is granted for a while, because a worker or an operator says so.
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

-- Behind write_gates(). What is held stands among the gates to look at again, also while nothing waits there.
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
