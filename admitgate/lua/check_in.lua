-- check_in(sid, 19 number, 20 ms of the lease to give, 21 when the ticket was given, 22 the number that was drawn for it): "I am here".
-- -> ADMIT deadline | READY rank | WAIT | SHARED | DRAWN | GONE
-- READY's rank counts from 0. SHARED: the client has as many places as one may have. DRAWN: it has another number since the opening,
-- which the caller can reckon from the draw and didn't give (0). A number of 0 is a pass: it comes before all others.
-- More present visitors than `ready` holds: those above its highest number are not called yet after all. Without
-- that, whoever of them happens to poll first when a place comes free would go in before the earlier ones.
local function call_back_to(number)
  serving, serving_before = number, math.min(serving_before, number)
  set('serving_before', serving_before)
  set('crowded', 1)
end

local number, give_ms, given_at, drawn = tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21]), tonumber(ARGV[22])
local is_pass = number == 0
if is_pass then number = born end
if give_ms == 0 then give_ms = lease_ms end
local deadline = tonumber(held[1])
if deadline and deadline > now then
  if now + give_ms > deadline then
    deadline = now + give_ms
    redis.call('ZADD', LEASES, deadline, sid)
  end
  return conclude('ADMIT', deadline)
end
local shown_until = tonumber(redis.call('ZSCORE', RELEASED, sid)) or 0
if is_account and given_at > shown_until - TICKET_LIFE_MS then shown_until = 0 end   -- it has lined up again since then
if shown_until > now then return conclude('GONE', 0) end
if given_at < (tonumber(line[11]) or 0) then return conclude('GONE', 0) end
if number > issued then            -- given out in a lost moment: how many of those between are, nobody knows
  if gap_to <= serving then gap_from = issued end
  gap_to, issued = number - 1, number
  set('gap_from', gap_from)
  set('gap_to', gap_to)
end
if number < born and now > given_at + TICKET_LIFE_MS then return conclude('GONE', 0) end
if number < born and redis.call('HSETNX', LINE, 'elders', 1) == 1 then
  start_hold(lease_ms)             -- a line was here before this one: others like it must have time to come
  hold_until, is_grace_over, serving_before = now + lease_ms, false, 0
end
if number < born and gap_to <= born then   -- between the last of before and the first of now nobody has a number
  gap_from, gap_to = gap_to == born and math.max(gap_from, number) or number, born
  set('gap_from', gap_from)
  set('gap_to', gap_to)
end
if draw ~= '' and not is_pass then
  local first, last = string.match(draw, '%d+:(%d+):(%d+)')
  first, last = tonumber(first), tonumber(last)
  if first > 0 and number > first and number <= last then
    if drawn == 0 then return conclude('DRAWN', 0) end
    number = drawn
  end
end
advance()
if number > serving then return conclude('WAIT', 0) end

if not redis.call('ZSCORE', READY, sid) then
  if is_shared() then return conclude('SHARED', 0) end
  if present >= ready_size then
    local last_two = redis.call('ZREVRANGE', READY, 0, 1, 'WITHSCORES')
    local highest = tonumber(last_two[2])
    if number > highest then
      call_back_to(highest)
      return conclude('WAIT', 0)
    end
    redis.call('ZREM', READY, last_two[1])
    redis.call('ZREM', SEEN, last_two[1])
    if places_most > 0 then redis.call('ZREM', PLACES, last_two[1]) end
    present = present - 1
    call_back_to(math.max(number, tonumber(last_two[4]) or 0))
  end
  redis.call('ZADD', READY, number, sid)
  present = present + 1
  if present == 1 then redis.call('PEXPIRE', READY, EXPIRY_MS) end
  take_place()
  if number > serving_before then
    shown = shown + 1
    set('shown', shown)
  end
end
redis.call('ZADD', SEEN, now + grace_ms, sid)
if present == 1 then redis.call('PEXPIRE', SEEN, EXPIRY_MS) end

local rank = redis.call('ZRANK', READY, sid)
if rank < room() and (number <= serving_before or is_grace_over) then
  redis.call('ZREM', READY, sid)
  redis.call('ZREM', SEEN, sid)
  present = present - 1
  return conclude('ADMIT', admit(give_ms, math.max(0, now - given_at)))
end
return conclude('READY', rank)
