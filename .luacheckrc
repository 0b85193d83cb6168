-- luacheck for the scripts in src/store. All files are one library: what a part of src/store/lua declares at its left
-- margin is visible to the files that use the part. This config reads those names from the files, so that no name is
-- listed twice. A name is read-only outside its own file.
std = 'lua51'
max_code_line_length = 200
max_string_line_length = 200
max_comment_line_length = 110

-- The names that Rust generates in front of the files: script/constants.rs, state.rs, keys.rs, script/dialect.rs.
local GENERATED = {
  'AGED', 'FIFO', 'KEEP_RESULTS', 'KEEP_NONE', 'REJECT_ENQUEUE', 'PAUSE_LEASE', 'PAUSE_ENQUEUE', 'PAUSE_WORDS',
  'DEFAULT_LEASE_MS', 'DEFAULT_MAX_ATTEMPTS', 'DEFAULT_RETRY', 'HISTORY_ATTEMPTS_MAX', 'HISTORY_BYTES_MAX',
  'LOOK_MAX', 'QUEUE_NAMES_MAX', 'DEAD_GROUPS_MAX', 'FOLLOWED_MAX', 'STEP_10S_MS', 'ROWS_10S_MAX', 'STEP_5M_MS',
  'ROWS_5M_MAX', 'WAITING_MS_MAX', 'WORKERS_MAX', 'WORKER_MS_MAX', 'HINTS', 'EVENTS', 'ENDED', 'NONE', 'clock',
  'QUEUE_FIELDS', 'read_queue', 'write_queue', 'name_keys', 'argv', 'declared',
}

-- Variables of one lease call that a file other than their own sets (`draw` says what they are). No others may be added:
-- pass arguments and return values instead.
local SHARED = {
  ['candidates'] = { 'parking_steps', 'more_candidates' },
  ['parked'] = { 'parking_steps' },
  ['several'] = { 'picked', 'pick_lane' },
}

local function files_in(folder)
  local files = {}
  local listing = assert(io.popen('ls src/store/' .. folder .. '/*.lua'))
  for path in listing:lines() do
    local file = assert(io.open(path))
    files[#files + 1] = { path = path, text = file:read('*a') }
    file:close()
  end
  listing:close()
  assert(#files > 0, 'run luacheck in the root of the repository')
  return files
end

local parts, operations = files_in('lua'), files_in('ops')

-- The names that a part declares at its left margin.
local function declared(text)
  local names = {}
  for line in text:gmatch('[^\n]+') do
    local list = line:match('^local function ([%w_]+)') or line:match('^local ([%w_, ]+)')
    for name in (list or ''):gmatch('[%w_]+') do names[#names + 1] = name end
  end
  return names
end

-- All words in the code of a file.
local function words(text)
  local found = {}
  for word in text:gsub('%-%-[^\n]*', ''):gmatch('[%a_][%w_]*') do found[word] = true end
  return found
end

read_globals = { 'redis', 'struct', 'cjson' }
globals = { 'queue' } -- its fields are counters and settings that every operation may change
for _, name in ipairs(GENERATED) do read_globals[#read_globals + 1] = name end
for _, list in ipairs({ parts, operations }) do
  for _, file in ipairs(list) do file.words = words(file.text) end
end
for _, part in ipairs(parts) do
  local exported = {}
  for _, name in ipairs(declared(part.text)) do
    read_globals[#read_globals + 1] = name
    for _, list in ipairs({ parts, operations }) do
      for _, file in ipairs(list) do
        if file ~= part and file.words[name] then exported[name] = true end
      end
    end
  end
  -- Luacheck sees one file at a time: names that only other files use are not unused.
  local ignored = {}
  for name in pairs(exported) do ignored[#ignored + 1] = '[23]%d%d/^' .. name .. '$' end
  local stem = part.path:match('([%w_]+)%.lua$')
  files[part.path] = { ignore = ignored, globals = SHARED[stem] }
end
