-- holds: for a while nothing of a queue, a name or a group is granted, because a worker or an operator asked
-- for it.
-- Uses   gates

local holds = NONE -- per call

-- Holds a scope until `at` (ms), 0 to end the hold.
local function hold(scope, at)
  local gate = gate_of(scope)
  hold_gate(gate, at)
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
