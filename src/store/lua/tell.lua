-- tell: watchers at all replicas hear what happened, if there are any. Kinds are those of `domain/event.rs`.

-- `said` is what stands between the braces of a JSON object, with the places of the values behind it as format() has them: numbers
-- and words of ours, never a caller's text. The last thing a script does.
local function tell(kind, said, ...)
  call('PUBLISH', EVENTS, kind .. ' ' .. string.match(Q, '{(.-)}') .. ' {' .. format(said, ...) .. '}')
end
