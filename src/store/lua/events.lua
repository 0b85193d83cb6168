-- events: tells watchers at all replicas what happened, if there are watchers. The kinds are those of
-- `domain/event.rs`.

-- Publishes an event. `fields` is the inside of a JSON object as a format for the values behind it. These are
-- numbers and words of ours, names, which need no escape, and groups as json_text() writes them; never
-- another text of a caller.
local function publish_event(kind, fields, ...)
  call('PUBLISH', EVENTS, kind .. ' ' .. string.match(Q, '{(.-)}') .. ' {' .. format(fields, ...) .. '}')
end

local function json_text(group) return cjson.encode(group) end
