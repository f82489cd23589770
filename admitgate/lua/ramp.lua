-- ramp(19 answers that a worker has seen the application give, 20 how many of them were slow, 21 the least ceiling): how well the
-- application does, from every worker every few seconds. -> RAMPED ceiling | UNKNOWN
-- A ceiling below the capacity follows it: up by a step where it does well and the ceiling is what keeps people out, down by a share where
-- it does not. Never down again before those who are inside have come down to it: nobody is thrown out, so only then does it show.
local REST_MS, PATIENCE_MS = 5000, 20000     -- between two moves; with less than ANSWERS_LEAST to go by
local ANSWERS_LEAST = 20
local SLOW, WELL = 0.1, 0.05                 -- shares of slow answers: above the one is too much, below the other is well
local STEPS, DOWN = 50, 0.95                 -- so many steps up to the capacity; so much is left
local NEAR, NEAR_STEPS = 1.1, 200            -- up to so much of where it was slow the last time; small steps, so that it comes to rest
local HEADROOM = 0.9                         -- of the ceiling in use: then it is what keeps people out
local LIFE_MS = 600000                       -- without a word from anybody the ceiling is lifted
local answers, slow, floor = tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21])
local ramp = redis.call('HMGET', LINE, 'ramp_at', 'ramp_answers', 'ramp_slow', 'ramp_knee')
local most = tonumber(live[1]) or tonumber(ARGV[8])
local ramp_at = tonumber(ramp[1])
if not ramp_at then
  ramp_at = now
  set('ramp_at', now)
end
answers, slow = answers + (tonumber(ramp[2]) or 0), slow + (tonumber(ramp[3]) or 0)
if now >= ramp_at + (answers >= ANSWERS_LEAST and REST_MS or PATIENCE_MS) then
  local chance = math.sqrt(answers * SLOW * (1 - SLOW))   -- so much may be bad luck
  local ceiling = capacity
  if slow > answers * SLOW + chance then
    if in_use <= ceiling then
      set('ramp_knee', in_use)
      ceiling = math.floor(in_use * DOWN)
    end
  elseif slow <= answers * WELL and in_use >= ceiling * HEADROOM then
    local is_near = ceiling < (tonumber(ramp[4]) or 0) * NEAR
    ceiling = ceiling + math.max(1, math.floor(most / (is_near and NEAR_STEPS or STEPS)))
  end
  ceiling = math.max(ceiling, floor)
  if ceiling ~= capacity then
    capacity = math.min(ceiling, most)
    if ceiling >= most then redis.call('HDEL', SETTINGS, 'ramp')
    else redis.call('HSET', SETTINGS, 'ramp', string.format('%.0f', ceiling)) end
    redis.call('PEXPIRE', SETTINGS, SETTINGS_EXPIRY_MS)
  end
  answers, slow = 0, 0
  set('ramp_at', now)
end
set('ramp_answers', answers)
set('ramp_slow', slow)
set('ramp_until', now + LIFE_MS)
return conclude('RAMPED', capacity)
