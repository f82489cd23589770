-- Stands before what an operator does to a line, so that it and its note in the event's log are one: evict (release.lua) and reset.
-- KEYS    as in prelude.lua, and 9 audit, as in change.lua (without it nothing is noted)
-- ARGV    21 the act's own name  22 who  23 what is done  24 its text  25 notes to keep
-- -> NOBODY (an evicted sid that has neither a slot nor a place) | DONE (what is asked for twice happens once) | what the act itself says
local AUDIT = table.remove(KEYS, 9)   -- the others live as long as the line does
local ASKED_TWICE = 50
if AUDIT then
  for _, note in ipairs(redis.call('LRANGE', AUDIT, 0, ASKED_TWICE - 1)) do
    if cjson.decode(note).id == ARGV[21] then return finish('DONE', 0) end
  end
  if sid ~= '' and not held[1] and not redis.call('ZSCORE', READY, sid) then return finish('NOBODY', 0) end
  local at = string.format('%.0f', clock_ms)
  redis.call('LPUSH', AUDIT, cjson.encode({id = ARGV[21], at = at, who = ARGV[22], field = ARGV[23], from = '', to = ARGV[24]}))
  redis.call('LTRIM', AUDIT, 0, ARGV[25] - 1)
  redis.call('PEXPIRE', AUDIT, SETTINGS_EXPIRY_MS)
end
