-- Stands before the verbs that can move the line: who is present, how much room there is, whom to invite;
-- and what has happened: totals in the line, and once a minute in the history.

local PURGE_MOST = 100             -- members dropped per call, so that no call is long
local POLLS_PER_SECOND = 200       -- what the ready may ask of the servers, all together
local READY_LEAST, STEP_MOST, STEP_GROWTH = 16, 5000, 4
local RATE_MEAN_MS, RATE_LEAST_MS = 60000, 10000
local PRESENCE_LEAST = 0.001
local MINUTES = 1440
local HEAR_LEAST_MS, HEAR_MOST_MS, HEAR_PER_SECOND = 30000, 120000, 800   -- of a draw: pages ask that often, all together
local NO_WAITS = '0,0,0,0,0,0,0,0,0,0,0,0,0,0'

local flow = redis.call('HMGET', LINE, 'serving_before', 'moved_at', 'invited', 'shown', 'presence', 'hold_until',
  'rate', 'rate_at', 'tokens', 'tokens_at', 'visits', 'rate_from', 'crowded', 'draw',
  'minute', 'admitted', 'released', 'expired', 'absent', 'waits', 'ramp_until')
local serving_before, moved_at = tonumber(flow[1]) or 0, tonumber(flow[2]) or 0
local invited, shown, presence = tonumber(flow[3]) or 0, tonumber(flow[4]) or 0, tonumber(flow[5]) or 1
local hold_until, visits = tonumber(flow[6]) or 0, tonumber(flow[11]) or 0
local capacity = tonumber(live[1]) or tonumber(ARGV[8])
if now < (tonumber(flow[21]) or 0) then capacity = math.min(capacity, tonumber(live[13]) or math.huge) end
local per_minute = tonumber(live[3]) or tonumber(ARGV[12])
local max_waiting = tonumber(live[4]) or tonumber(ARGV[13])
local places_most = tonumber(ARGV[14])
local extra = tonumber(live[12]) or 0

local is_moving = shut == 0 or shut == PAUSED and extra > 0   -- an operator may count people in by hand

local freed, expiries, absent = tonumber(flow[17]) or 0, tonumber(flow[18]) or 0, tonumber(flow[19]) or 0

local function restart_grace(since, before)   -- nobody is called meanwhile; those up to `before` have had theirs
  serving_before, moved_at, invited, shown = before, since, 0, 0
  set('serving_before', before)
  set('moved_at', since)
  set('invited', 0)
  set('shown', 0)
end

local function expired(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', now, 'LIMIT', 0, PURGE_MOST)
end

local in_use, present = redis.call('ZCARD', LEASES) - 1, redis.call('ZCARD', READY)
local may_somebody_wait = serving < issued or present > 0 or moved_at > 0 and last < moved_at + grace_ms
if was_silent and may_somebody_wait then restart_grace(now, 0) end
if present ~= redis.call('ZCARD', SEEN) then
  redis.call('DEL', READY, SEEN)   -- one of the two was lost: everybody checks in again
  present = 0
  restart_grace(now, 0)
end
if present > 0 then
  local gone = expired(SEEN)
  if #gone > 0 then
    redis.call('ZREM', SEEN, unpack(gone))
    present = present - redis.call('ZREM', READY, unpack(gone))
    if places_most > 0 then redis.call('ZREM', PLACES, unpack(gone)) end
    absent = absent + #gone
    set('absent', absent)
  end
end
if in_use + present >= capacity or sid == '' then   -- below that the expired are in nobody's way
  local gone = expired(LEASES)
  if #gone > 0 then
    in_use = in_use - redis.call('ZREM', LEASES, unpack(gone))
    if places_most > 0 then redis.call('ZREM', PLACES, unpack(gone)) end
    expiries = expiries + #gone
    set('expired', expiries)
  end
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
  if holding or not is_moving then return 0 end
  return math.min(capacity - in_use, extra + (shut == 0 and math.floor(math.max(tokens, 0)) or 0))
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

-- At the opening those who came before it are put into a random order. Which, everybody can reckon by themselves: the seed,
-- whose hash they have seen, and how many they are say where each number comes. So nothing has to be kept of any of them;
-- what matters is whose numbers were drawn: those above `first` up to `last`, without a hole that nobody is known to be in.
local draw = flow[14] or ''
local is_the_same = string.match(draw, '^%d+:0:') and string.match(draw, '^%d+') == string.match(ARGV[18], '^%d+')
if ARGV[18] ~= '' and not line[11] and (draw == '' or is_the_same) then
  draw = ARGV[18]                                  -- the line was lost, or its latest moment, and a worker remembers
  redis.call('HSET', LINE, 'draw', draw)
end
if draw ~= '' or seed ~= '' then
  local drawn_for, first = string.match(draw, '(%d+):(%d+)')
  if clock_ms < opens_at and tonumber(drawn_for) ~= opens_at then
    draw = seed ~= '' and string.format('%.0f:0:0:0:0:%s', opens_at, seed) or ''
    redis.call('HSET', LINE, 'draw', draw)
  elseif first == '0' and seed == '' then
    draw = ''
    redis.call('HDEL', LINE, 'draw')
  elseif first == '0' and clock_ms >= opens_at then
    local from, last, hole_from, hole_to = serving, issued, 0, 0
    if gap_to > from then
      hole_from, hole_to = math.max(gap_from, from), gap_to
      gap_from, gap_to = last - (hole_to - hole_from), last   -- who is in the hole all the same comes here, behind them
      set('gap_from', gap_from)
      set('gap_to', gap_to)
    end
    -- Everybody has to hear where they stand before the first are called, or the first to ask would be the first to go in.
    local hear_ms = (last - from - hole_to + hole_from) * 1000 / HEAR_PER_SECOND
    restart_grace(now + math.min(HEAR_MOST_MS, math.max(HEAR_LEAST_MS, hear_ms)) - grace_ms, serving)
    is_grace_over = false
    draw = string.format('%s:%.0f:%.0f:%.0f:%.0f:%s', drawn_for, from, last, hole_from, hole_to, string.match(draw, '%x*$'))
    redis.call('HSET', LINE, 'draw', draw)
  end
end

local function advance()
  if holding or not is_moving or serving >= issued or not is_grace_over or present >= ready_size / 2 then return end
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

-- '… present, in use, capacity, waiting, admissions per 1000 minutes, hold left, step, poll, shut, opens at, stopped, draw or -, message'
-- The step is what the next move will take: whoever is within it should look now and then. Where half of the grace is
-- over and nobody has shown up, that is more than the last time.
local function conclude(verdict, value)
  local is_nobody_here = shown == 0 and invited >= READY_LEAST / 2 and now >= moved_at + grace_ms / 2
  local share = math.max(PRESENCE_LEAST, is_nobody_here and presence / STEP_GROWTH or presence)
  local step = math.min(STEP_MOST, math.ceil(ready_size / share))
  local minute, before = math.floor(clock_ms / 60000), tonumber(flow[15])
  if minute ~= before then                         -- what had come together by the end of the last one is kept for a day
    set('minute', minute)
    if before then
      redis.call('RPUSH', HISTORY, string.format('%.0f %s %s %s %s %s %.0f %.0f %.0f %s', before, line[12] or 0, flow[16] or 0,
        flow[17] or 0, flow[18] or 0, flow[19] or 0, in_use, waiting(), capacity, flow[20] or NO_WAITS))
      redis.call('LTRIM', HISTORY, -MINUTES, -1)
      redis.call('PEXPIRE', HISTORY, EXPIRY_MS)
    end
  end
  return finish(verdict, value, present, in_use, capacity, waiting(), math.floor(rate * 60000),
    holding and math.max(hold_until - now, 1) or 0, step, poll_ms, shut, shut == EARLY and waiting_from or opens_at, stopped)
    .. ' ' .. (draw ~= '' and draw or '-') .. ' ' .. (live[5] or '')
end
