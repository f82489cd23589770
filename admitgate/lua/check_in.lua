-- check_in(sid, 16 number, 17 ms of the lease to give, 18 when the ticket was given): "I am here".
-- -> ADMIT deadline | READY rank | WAIT | GONE | CLOSED
-- READY's rank counts from 0.
local TICKET_LIFE_MS = 86400000    -- below the keys' expiry: a line that ended by itself is not a line that was lost
local number, give_ms, joined = tonumber(ARGV[16]), tonumber(ARGV[17]), tonumber(ARGV[18])
if give_ms == 0 then give_ms = lease_ms end
local deadline = tonumber(held[1])
if deadline and deadline > now then
  if now + give_ms > deadline then
    deadline = now + give_ms
    redis.call('ZADD', LEASES, deadline, sid)
  end
  return conclude('ADMIT', deadline)
end
if (tonumber(redis.call('ZSCORE', RELEASED, sid)) or 0) > now then return conclude('GONE', 0) end
if shut == CLOSED then return conclude('CLOSED', 0) end
if number > issued then            -- given out in a lost moment: how many of those between are, nobody knows
  if gap_to <= serving then gap_from = issued end
  gap_to, issued = number - 1, number
  set('gap_from', gap_from)
  set('gap_to', gap_to)
end
if number < born and now > joined + TICKET_LIFE_MS then return conclude('GONE', 0) end
if number < born and redis.call('HSETNX', LINE, 'elders', 1) == 1 then
  start_hold(lease_ms)             -- a line was here before this one: others like it must have time to come
  hold_until, is_grace_over, serving_before = now + lease_ms, false, 0
end
if number < born and gap_to <= born then   -- between the last of before and the first of now nobody has a number
  gap_from, gap_to = gap_to == born and math.max(gap_from, number) or number, born
  set('gap_from', gap_from)
  set('gap_to', gap_to)
end
advance()
if number > serving then return conclude('WAIT', 0) end

if not redis.call('ZSCORE', READY, sid) then
  if present >= ready_size then
    local last_two = redis.call('ZREVRANGE', READY, 0, 1, 'WITHSCORES')
    local highest = tonumber(last_two[2])
    if number > highest then
      call_back_to(highest)
      return conclude('WAIT', 0)
    end
    redis.call('ZREM', READY, last_two[1])
    redis.call('ZREM', SEEN, last_two[1])
    present = present - 1
    call_back_to(math.max(number, tonumber(last_two[4]) or 0))
  end
  redis.call('ZADD', READY, number, sid)
  present = present + 1
  if present == 1 then redis.call('PEXPIRE', READY, EXPIRY_MS) end
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
  return conclude('ADMIT', admit(give_ms))
end
return conclude('READY', rank)
