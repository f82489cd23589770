-- release(sid, 19 the token's deadline or 0, 20 1 to forget): a slot or a place in line given back. -> RELEASED | FORGOTTEN
-- To forget: the application answered 404, so an event that nothing else is known of leaves no keys.
local token_deadline, is_forgetting = tonumber(ARGV[19]), tonumber(ARGV[20]) == 1
local dropped = redis.call('ZREM', LEASES, sid)
in_use = in_use - dropped
present = present - redis.call('ZREM', READY, sid)
redis.call('ZREM', SEEN, sid)
if places_most > 0 then redis.call('ZREM', PLACES, sid) end
if is_forgetting then
  visits = visits - dropped
  if visits <= 0 and issued == born then   -- nothing but such visits since it was born: no worker has marks of it
    redis.call('DEL', LINE, LEASES, READY, SEEN, RELEASED, PLACES, HISTORY)
    return string.format('FORGOTTEN 0 %.0f 0 0 0 0', now)
  end
  set('visits', visits)
  return conclude('RELEASED', 0)
end
local shown_until = math.max(tonumber(held[1]) or 0, token_deadline)
if shown_until > 0 then            -- neither the lease nor the ticket that led to it is good for a second visit
  local gone = expired(RELEASED)
  if #gone > 0 then redis.call('ZREM', RELEASED, unpack(gone)) end
  redis.call('ZADD', RELEASED, math.max(shown_until, now + TICKET_LIFE_MS), sid)
  local over = redis.call('ZCARD', RELEASED) - 10 * capacity - 1000
  if over > 0 then                 -- a loop of join and release stays bounded, and makes no leases of what it pushes out
    local latest = tonumber(redis.call('ZRANGE', RELEASED, over - 1, over - 1, 'WITHSCORES')[2])
    set('unlisted', math.max(latest - TICKET_LIFE_MS + lease_ms, tonumber(redis.call('HGET', LINE, 'unlisted')) or 0))
    redis.call('ZREMRANGEBYRANK', RELEASED, 0, over - 1)
  end
  redis.call('PEXPIRE', RELEASED, EXPIRY_MS)
end
if dropped > 0 then
  freed = freed + 1
  set('released', freed)
end
advance()
return conclude('RELEASED', 0)
