-- delete: deletes a queue with everything in it. The first call makes it absent; further calls clear its
-- lanes.
--
-- ARGV   1 mode: empty (only if it has no unfinished or dead tasks) | filled (in any case) | rest (its lanes)
--        2 how many lanes at most
-- Reply  "deleted", how many tasks it had, "1" when lanes are left: call again with rest
--        "filled", how many tasks it has, 0: it is not empty as required; nothing was written
--        "absent", 0, "1" when lanes are left
-- Keeps  I3 I4 I28
-- Uses   clear
-- Flags  allow-oom

local what, limit = ARGV[1], tonumber(ARGV[2])
local present = read_queue()
if present and what == 'rest' then return { 'absent', 0, 0 } end
if not present then return { 'absent', 0, clear_lanes(limit) and 0 or 1 } end

local tasks = queue.ready + call('ZCARD', DUE) + call('ZCARD', LEASED) + call('ZCARD', DEAD)
if tasks > 0 and what == 'empty' then return { 'filled', tasks, 0 } end
call('ZCARD', TURN)

for i, key in ipairs(name_keys(ROOT)) do
  if i > 1 and key ~= TURN then call('UNLINK', key) end
end
return { 'deleted', tasks, call('EXISTS', TURN) }
