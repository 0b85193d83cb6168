-- tell: publishes events to watchers at all replicas, if there are any. Kinds are those of `domain/event.rs`.

-- `said` is the inside of a JSON object, with places for format() and the values after it: our own numbers
-- and words, names, which need no escape, and groups from json_text(); never another text of a caller.
local function tell(kind, said, ...)
  call('PUBLISH', EVENTS, kind .. ' ' .. string.match(Q, '{(.-)}') .. ' {' .. format(said, ...) .. '}')
end

local function json_text(group) return cjson.encode(group) end
