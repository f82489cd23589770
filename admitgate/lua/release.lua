-- release(sid, 16 the token's deadline or 0, 17 1 to forget): a slot or a place in line given back. -> RELEASED | FORGOTTEN
-- To forget: the application answered 404, so an event that nothing else is known of leaves no keys.
local token_deadline, is_forgetting = tonumber(ARGV[16]), tonumber(ARGV[17]) == 1
local dropped = redis.call('ZREM', LEASES, sid)
in_use = in_use - dropped
present = present - redis.call('ZREM', READY, sid)
redis.call('ZREM', SEEN, sid)
if is_forgetting then
  visits = visits - dropped
  if visits <= 0 and issued == born then   -- nothing but such visits since it was born: no worker has marks of it
    redis.call('DEL', LINE, LEASES, READY, SEEN, RELEASED)
    return string.format('FORGOTTEN 0 %.0f 0 0 0 0', now)
  end
  set('visits', visits)
  return conclude('RELEASED', 0)
end
local shown_until = math.max(tonumber(held[1]) or 0, token_deadline)
if shown_until > now then
  local gone = expired(RELEASED)
  if #gone > 0 then redis.call('ZREM', RELEASED, unpack(gone)) end
  redis.call('ZADD', RELEASED, shown_until, sid)
  redis.call('ZREMRANGEBYRANK', RELEASED, 0, -(10 * capacity + 1001))   -- a loop of join and release stays bounded
  redis.call('PEXPIRE', RELEASED, EXPIRY_MS)
end
advance()
return conclude('RELEASED', 0)
