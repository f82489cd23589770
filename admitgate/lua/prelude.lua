-- Stands before every verb: what time it is, whether state was lost, and how the call ends.
--
-- KEYS    1 line  2 leases  3 ready  4 ready:seen  5 released  6 settings  7 places  8 history   (one hash tag, one cluster node)
--   line      hash; times in ms of event time, numbers below 2^53
--               event                                         its name, for who finds the key
--               born issued serving serving_before            ticket numbers
--               last offset stopped corrected stood kept      latest call, our clock minus Redis', how long outages have held ours back,
--                                                             when it was last set back by much, by little; when the expiry was
--                                                             last pushed on
--               moved_at invited shown presence               the last step: when, how many, how many came; share who do
--               crowded                                       1 if more came than `ready` holds, and serving went back
--               hold_from hold_until gap_from gap_to elders   after a loss; elders = 1 once a ticket older than `born` came
--               visits                                        admissions that no 404 took back
--               rate rate_at rate_from                        admissions per second, a mean of 60 s, since a line formed
--               tokens tokens_at                              the bucket of admit_per_minute
--               draw                                          'opens at:first:last:hole from:hole to:seed'; first is 0 until it is drawn
--               joined admitted released expired absent waits totals since the line was born (see admit.lua); minute: the latest that
--                                                             is in them
--               ramp_at ramp_answers ramp_slow ramp_knee ramp_until     the application's health (see ramp.lua)
--               reset_at                                      what was given out before that is void
--               unlisted                                      deadline up to which `released` had too many to list each
--   leases    zset sid -> deadline; the member '*' never expires: where it is missing, the key was lost
--   ready     zset sid -> ticket number           seen  zset sid -> deadline of being counted as present
--   released  zset sid -> deadline until which its ticket or its lease's token could still be shown
--   settings  hash of what an operator changed live; wins over ARGV. capacity, lease_seconds, admit_per_minute, max_waiting, message;
--               state: 'paused', 'closed', 'draining' (no newcomer gets a number) or 'queueing' (everybody gets one first);
--               waiting_from, opens_at, closes_at: ms, 0 for never; shuffle: 1 or 0; seed: of the draw;
--               extra: how many more may go in above the rate; ramp: a ceiling below the capacity
--   places    zset sid -> 0 of all who have a lease or are ready, ordered by their first characters, where places are counted by client
--   history   list of a minute each, newest last: 'minute joined admitted released expired absent in-use waiting capacity waits'
-- ARGV    1 what this worker's monotonic clock expects now to be, ms of event time (0: no idea)
--         this worker's marks (0: no memory): 2 latest event time  3 highest issued  4 serving  5, 6 gap from, to
--         7 ms for which this worker couldn't ask, so that visitors couldn't show presence through it (0: a new worker; -1: it could)
--         8 capacity  9 lease ms  10 grace ms  11 cold hold ms  12 admit per minute (0: any)  13 max waiting (-1: any)
--         14 places per client (0: any)  15 '' or 'waiting from:opens at:closes at:seed' in ms, 0 for never, '' for no shuffle
--         16 sid ('' for an onlooker, who never creates an event; its first 5 characters tell whose it is)
--         17 the event's name as in URLs  18 the draw as this worker remembers it, or ''  19… the verb's own
-- Returns one text, which a client reads faster than a list: 'verdict value now issued serving gap-from gap-to …'; whole numbers, times in ms.
--         'verdict!ms' where Redis' clock was found to have stepped by so much, so that the event's was set against it
-- Atomic, like every script; touches no key but KEYS; runs on Redis 6.2 to 8 and Valkey.

local LINE, LEASES, READY, SEEN, RELEASED, SETTINGS, PLACES, HISTORY = unpack(KEYS)
local SENTINEL = '*'
local CLOCK_STEP_MS = 5000         -- a difference that no delay explains
local LATE_MS = 500                -- no worker waits so long for an answer
local CORRECTION_REST_MS = 60000   -- a wrong hint must not freeze time: after a correction a minute runs uncorrected
local EXPIRY_MS, EXPIRY_REST_MS = 90000000, 3600000   -- 25 hours, pushed on at most once an hour
local TICKET_LIFE_MS = 86400000    -- below the keys' expiry: a line that ended by itself is not a line that was lost
local SETTINGS_EXPIRY_MS = 2592000000                 -- 30 days: what is set up on Monday is there on the Saturday of the sale

local expected_ms = tonumber(ARGV[1])
local mark_last, mark_issued, mark_serving = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local grace_ms, sid = tonumber(ARGV[10]), ARGV[16]
local is_account = #sid > 16       -- its sid comes again, however often the slot is given back

local clock = redis.call('TIME')
local line = redis.call('HMGET', LINE, 'last', 'offset', 'born', 'issued', 'serving', 'kept', 'corrected',
  'gap_from', 'gap_to', 'stood', 'reset_at', 'joined', 'stopped')
local live = redis.call('HMGET', SETTINGS, 'capacity', 'lease_seconds', 'admit_per_minute', 'max_waiting', 'message',
  'state', 'waiting_from', 'opens_at', 'closes_at', 'shuffle', 'seed', 'extra', 'ramp')
local held = redis.call('ZMSCORE', LEASES, sid, SENTINEL)
local last, offset, born = tonumber(line[1]) or 0, tonumber(line[2]) or 0, tonumber(line[3])
local issued, serving, kept = tonumber(line[4]) or 0, tonumber(line[5]) or 0, tonumber(line[6]) or 0
local gap_from, gap_to, stopped = tonumber(line[8]) or 0, tonumber(line[9]) or 0, tonumber(line[13]) or 0
local lease_ms = tonumber(live[2]) and tonumber(live[2]) * 1000 or tonumber(ARGV[9])

local changed = {}
local function set(field, value)
  changed[#changed + 1] = field
  changed[#changed + 1] = string.format('%.17g', value)   -- tostring would lose digits past the 14th
end

local redis_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local remembered = math.max(last, mark_last)
local now = redis_ms + offset
local late_ms, stepped = 0, ''
if now < remembered then
  now = math.max(remembered, expected_ms)                 -- Redis' clock stepped back: ours goes on
elseif expected_ms > 0 then
  local ahead = now - math.max(remembered, expected_ms)
  local field, at = 'corrected', line[7]                  -- it stepped forward
  if ahead <= CLOCK_STEP_MS then field, at = 'stood', line[10] end   -- or Redis stood still, with this call in its hands
  if ahead > LATE_MS and now > (tonumber(at) or 0) + CORRECTION_REST_MS then
    now, late_ms = now - ahead, ahead
    set(field, now)
    if field == 'stood' or not born then stopped = stopped + ahead end   -- how far ours was behind is lost with the line
  end
end
if math.abs(redis_ms + offset - now) > CLOCK_STEP_MS then stepped = string.format('!%.0f', redis_ms + offset - now) end
local away_ms = tonumber(ARGV[7])
local was_silent = (away_ms >= 0 or late_ms > 0) and now + late_ms - last > grace_ms / 2
local unstopped_ms = now
if remembered > 0 and away_ms > 0 and now > remembered then
  local held_ms = math.min(away_ms, now - remembered)     -- an outage: nobody got through, and nobody's time ran out
  now, stopped = now - held_ms, stopped + held_ms
end
local clock_ms = now + stopped     -- what the clocks on the wall say: a date that was announced can't move
if stopped ~= (tonumber(line[13]) or 0) then set('stopped', stopped) end
if now ~= redis_ms + offset then set('offset', now - redis_ms) end

local function forget_the_grace()   -- nobody of before counts as having had theirs
  redis.call('HSET', LINE, 'serving_before', 0, 'moved_at', now, 'invited', 0, 'shown', 0)
end

local holding = false
local function start_hold(hold_ms)
  holding = true
  local longest = math.max(now + hold_ms, tonumber(redis.call('HGET', LINE, 'hold_until')) or 0)
  redis.call('HSET', LINE, 'hold_from', now, 'hold_until', longest)
  forget_the_grace()
end

local is_known = mark_last > 0
if not born and not is_known and sid == '' then return string.format('UNKNOWN 0 %.0f 0 0 0 0', now) end

local loss_hold_ms
if not held[2] and (born or is_known) or held[2] and not born then
  loss_hold_ms = lease_ms            -- leases (or a hold for their sake) may be out that we know nothing of: let all renew or end
elseif is_known and last < mark_last then
  loss_hold_ms = grace_ms            -- a fail-over lost the last writes: let the present come back
elseif is_known and mark_issued < born and redis.call('HSETNX', LINE, 'elders', 1) == 1 then
  loss_hold_ms = lease_ms            -- a line that this worker knew was lost, and another worker knew nothing of it
end
local birth_hold_ms = not born and tonumber(ARGV[11]) or 0
if not born then
  born = is_known and 1 or now * 1000 + clock[2] % 1000   -- what goes on by the marks has nothing before it
  issued, serving = born, born
  set('born', born)
  redis.call('HSET', LINE, 'event', ARGV[17])
  if is_known or held[2] then redis.call('HSET', LINE, 'visits', 1) end   -- not one to be forgotten
end
if mark_issued > issued then issued = mark_issued end
if tonumber(ARGV[6]) > gap_to then
  gap_from, gap_to = tonumber(ARGV[5]), tonumber(ARGV[6])
  set('gap_from', gap_from)
  set('gap_to', gap_to)
end

if loss_hold_ms then
  serving = math.max(serving, mark_serving)
  start_hold(loss_hold_ms)
  if gap_to <= serving then gap_from = issued end          -- one that isn't crossed yet only grows
  -- Above all that were given out unseen: whatever happened, a line has not given out more than a number a microsecond.
  if remembered > 0 then issued = issued + (unstopped_ms - remembered + 2) * 1000 end
  gap_to = issued
  set('gap_from', gap_from)
  set('gap_to', gap_to)
elseif birth_hold_ms > 0 then
  start_hold(birth_hold_ms)
end
if not held[2] then redis.call('ZADD', LEASES, '+inf', SENTINEL) end

local function finish(verdict, value, ...)
  if issued ~= tonumber(line[4]) then set('issued', issued) end
  if serving ~= tonumber(line[5]) then set('serving', serving) end
  set('last', now)
  if now - kept > EXPIRY_REST_MS then
    set('kept', now)
  end
  redis.call('HSET', LINE, unpack(changed))
  if now - kept > EXPIRY_REST_MS or not held[2] then
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, key == SETTINGS and SETTINGS_EXPIRY_MS or EXPIRY_MS) end
  end
  return verdict .. stepped .. string.format(string.rep(' %.0f', 6 + select('#', ...)), value, now, issued, serving, gap_from, gap_to, ...)
end
