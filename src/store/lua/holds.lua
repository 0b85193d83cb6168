-- holds: a worker or an operator stops the grants of a queue, a name or a group for a while.
-- Uses   gates

local holds = NONE -- per call

-- Holds the scope until `at` (ms); 0 ends the hold.
local function hold(scope, at)
  local gate = gate_of(scope)
  recall_gate(gate)
  gate.held, gate.changed, some_changed = at, true, true
  evaluate(gate)
  if holds == NONE then holds = {} end
  holds[#holds + 1] = gate
end

-- Called after write_gates(). A held scope is listed among the gates to look at again, even without waiting
-- tasks.
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
