-- tell: watchers at all replicas hear what happened, if there are any. Kinds are those of `domain/event.rs`.

-- `said` is what stands between the braces of a JSON object, with the places of the values behind it as format() has them: numbers
-- and words of ours, names, which need no escape, and groups as json_text() writes them; never another text of a caller's.
local function tell(kind, said, ...)
  call('PUBLISH', EVENTS, kind .. ' ' .. string.match(Q, '{(.-)}') .. ' {' .. format(said, ...) .. '}')
end

local function json_text(group) return cjson.encode(group) end
