-- change(1 who, 2 the change's own name, 3 notes to keep (0: note nothing; -1: only say what would change),
--        4 the event's name as in URLs, 5… field, how, value; as often as there are fields): an operator's hand on an event.
-- how: '=' set ('' is back to the rule's) · '+' so many more · '.' set, and told to nobody · '!' only noted
-- -> a list: event time in ms, what the clocks on the wall say in ms, then one note for each field that changed
-- KEYS    1 line  2 settings  3 audit           (one hash tag, one cluster node)
--   settings  as in prelude.lua; and event, its name, for who finds the key before anybody has come
--   audit     list of notes, newest first: JSON with id, at (ms), who, field, from, to ('' is the rule's)
-- Stands alone: it moves no line. All fields change or none, and a change that is asked for twice happens once.

local LINE, SETTINGS, AUDIT = KEYS[1], KEYS[2], KEYS[3]
local KEPT_MS = 2592000000         -- 30 days: an event is prepared weeks before, and asked about weeks after
local ASKED_TWICE = 50             -- so many notes back a repeated change is still known
local who, id, most, event = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]

local is_trial = most < 0

local clock, line = redis.call('TIME'), redis.call('HMGET', LINE, 'offset', 'stopped')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + (tonumber(line[1]) or 0)
local clock_ms = string.format('%.0f', now + (tonumber(line[2]) or 0))
local answer = {string.format('%.0f', now), clock_ms}
local NOTHING = #answer

for _, note in ipairs(redis.call('LRANGE', AUDIT, 0, ASKED_TWICE - 1)) do
  if cjson.decode(note).id == id then table.insert(answer, NOTHING + 1, note) end
end
if #answer > NOTHING then return answer end

local function after(before, how, value)
  if how == '+' then return string.format('%.0f', (tonumber(before) or 0) + tonumber(value)) end
  return value
end

for at = 5, #ARGV, 3 do
  local field, how, value = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local before = how ~= '!' and redis.call('HGET', SETTINGS, field) or ''
  local to = after(before, how, value)
  if to ~= before then
    if how == '!' or is_trial then  -- what happened was no setting
    elseif to == '' then redis.call('HDEL', SETTINGS, field)
    else redis.call('HSET', SETTINGS, field, to, 'event', event) end
    if how ~= '.' then
      local note = cjson.encode({id = id, at = clock_ms, who = who, field = field, from = before, to = to})
      answer[#answer + 1] = note
      if most > 0 then redis.call('LPUSH', AUDIT, note) end
    end
  end
end
if #answer > NOTHING then
  if redis.call('HLEN', SETTINGS) == 1 then redis.call('DEL', SETTINGS) end   -- nothing but the name
  if most > 0 then redis.call('LTRIM', AUDIT, 0, most - 1) end
  redis.call('PEXPIRE', SETTINGS, KEPT_MS)
  redis.call('PEXPIRE', AUDIT, KEPT_MS)
end
return answer
