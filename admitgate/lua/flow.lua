-- Stands between the prelude and the verbs that can move the line: who is present, how much room there is, whom to invite.

local PURGE_MOST = 100             -- members dropped per call, so that no call is long
local POLLS_PER_SECOND = 200       -- what the ready may ask of the servers, all together
local READY_LEAST, STEP_MOST, STEP_GROWTH = 16, 5000, 4
local RATE_MEAN_MS, RATE_LEAST_MS = 60000, 10000
local PRESENCE_LEAST = 0.001

local flow = redis.call('HMGET', LINE, 'serving_before', 'moved_at', 'invited', 'shown', 'presence', 'hold_until',
  'rate', 'rate_at', 'tokens', 'tokens_at', 'visits', 'rate_from', 'crowded')
local serving_before, moved_at = tonumber(flow[1]) or 0, tonumber(flow[2]) or 0
local invited, shown, presence = tonumber(flow[3]) or 0, tonumber(flow[4]) or 0, tonumber(flow[5]) or 1
local hold_until, visits = tonumber(flow[6]) or 0, tonumber(flow[11]) or 0
local capacity = tonumber(live[1]) or tonumber(ARGV[8])
local per_minute = tonumber(live[3]) or tonumber(ARGV[12])
local max_waiting = tonumber(live[4]) or tonumber(ARGV[13])
local PAUSED, CLOSED, OPENS = 1, 2, 3              -- what an operator wants; 0 means on
local opens_at = tonumber(live[7]) or 0
local shut = live[6] == 'closed' and CLOSED or live[6] == 'paused' and PAUSED or now < opens_at and OPENS or 0

local function restart_grace()
  serving_before, moved_at, invited, shown = 0, now, 0, 0
  set('serving_before', 0)
  set('moved_at', now)
  set('invited', 0)
  set('shown', 0)
end

local function expired(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, PURGE_MOST)
end

local in_use, present = redis.call('ZCARD', LEASES) - 1, redis.call('ZCARD', READY)
local may_somebody_wait = serving < issued or present > 0 or moved_at > 0 and last < moved_at + grace_ms
if was_silent and may_somebody_wait then restart_grace() end
if present ~= redis.call('ZCARD', SEEN) then
  redis.call('DEL', READY, SEEN)   -- one of the two was lost: everybody checks in again
  present = 0
  restart_grace()
end
if present > 0 then
  local gone = expired(SEEN)
  if #gone > 0 then
    redis.call('ZREM', SEEN, unpack(gone))
    present = present - redis.call('ZREM', READY, unpack(gone))
  end
end
if in_use + present >= capacity or sid == '' then   -- below that the expired are in nobody's way
  local gone = expired(LEASES)
  if #gone > 0 then in_use = in_use - redis.call('ZREM', LEASES, unpack(gone)) end
end

local recent = (tonumber(flow[7]) or 0) * math.exp(((tonumber(flow[8]) or 0) - now) / RATE_MEAN_MS)
local rated_ms = math.max(RATE_LEAST_MS, now - (tonumber(flow[12]) or born / 1000))
local rate = recent / (1 - math.exp(-rated_ms / RATE_MEAN_MS))   -- a mean that began a moment ago is not a low one
local tokens = math.huge
if per_minute > 0 then
  local burst = math.max(1, per_minute / 12)       -- five seconds' worth: what comes due between two polls is not lost
  tokens = math.min(burst, (tonumber(flow[9]) or 1) + (now - (tonumber(flow[10]) or now)) * per_minute / 60000)
end
holding = holding or now < hold_until
local is_grace_over = now >= moved_at + grace_ms
local function room()
  return (holding or shut > 0) and 0 or math.min(capacity - in_use, math.floor(tokens))
end

-- W: twice what turns over while the next are called, have their grace, and poll; or what is free right now
local poll_ms = math.floor(grace_ms / 3)
local patience_ms = 2 * poll_ms                    -- the longest poll that still shows presence within a grace
local ready_most = math.floor(POLLS_PER_SECOND * patience_ms / 1000)
local ready_size = math.min(ready_most,
  math.max(READY_LEAST, math.ceil(2 * rate * (grace_ms + patience_ms) / 1000), capacity - in_use))
poll_ms = math.max(poll_ms, math.ceil(ready_size * 1000 / POLLS_PER_SECOND))

local function gap_ahead()
  return gap_to > serving and gap_to - math.max(serving, gap_from) or 0
end

local function waiting()
  return issued - serving - gap_ahead() + present
end

local function advance()
  if holding or shut > 0 or serving >= issued or not is_grace_over or present >= ready_size / 2 then return end
  if flow[13] then                                 -- more came than there was room for: call fewer
    presence = math.min(1, presence * STEP_GROWTH)
    set('presence', presence)
    redis.call('HDEL', LINE, 'crowded')
  elseif invited >= READY_LEAST / 2 then           -- fewer tell nothing about how many come when they are called
    local share = math.min(1, shown / invited)
    if shown == 0 then presence = presence / STEP_GROWTH
    elseif share < 0.25 then presence = presence / 2
    else presence = (presence + share) / 2 end
    presence = math.max(PRESENCE_LEAST, presence)
    set('presence', presence)
  end
  local step = math.min(STEP_MOST, math.ceil((ready_size - present) / presence))
  serving_before = serving
  serving = serving + step
  if gap_to > serving_before and serving > gap_from then
    serving = gap_to + serving - math.max(serving_before, gap_from)   -- nobody is in the gap but those of a lost moment
  end
  serving = math.min(serving, issued)
  invited, shown, moved_at, is_grace_over = math.min(step, serving - serving_before), 0, now, false
  set('serving_before', serving_before)
  set('invited', invited)
  set('shown', 0)
  set('moved_at', now)
end

-- More present visitors than `ready` holds: those above its highest number are not called yet after all. Without
-- that, whoever of them happens to poll first when a place comes free would go in before the earlier ones.
local function call_back_to(number)
  serving, serving_before = number, math.min(serving_before, number)
  set('serving_before', serving_before)
  set('crowded', 1)
end

local function admit(for_ms)
  local deadline = now + for_ms
  redis.call('ZADD', LEASES, deadline, sid)
  in_use = in_use + 1
  set('visits', visits + 1)
  set('rate', recent + 1000 / RATE_MEAN_MS)
  set('rate_at', now)
  if per_minute > 0 then
    set('tokens', tokens - 1)
    set('tokens_at', now)
  end
  return deadline
end

-- '… present, in use, capacity, waiting, admissions per 1000 minutes, hold left, step, poll, shut, opens at, message'
-- The step is what the next move will take: whoever is within it should look now and then. Where half of the grace is
-- over and nobody has shown up, that is more than the last time.
local function conclude(verdict, value)
  local is_nobody_here = shown == 0 and invited >= READY_LEAST / 2 and now >= moved_at + grace_ms / 2
  local share = math.max(PRESENCE_LEAST, is_nobody_here and presence / STEP_GROWTH or presence)
  local step = math.min(STEP_MOST, math.ceil(ready_size / share))
  return finish(verdict, value, present, in_use, capacity, waiting(), math.floor(rate * 60000),
    holding and math.max(hold_until - now, 1) or 0, step, poll_ms, shut, opens_at) .. ' ' .. (live[5] or '')
end
