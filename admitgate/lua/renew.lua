-- renew(sid, 16 the token's deadline, 17 ms to renew for, 18 1 if a worker let them in without asking, in an outage): somebody
-- shows a lease. -> ADMIT deadline | GONE | EXPIRED
-- A token that is still valid while its lease is unknown is adopted; unless it was never known, that means that state was lost.
local token_deadline, give_ms = tonumber(ARGV[16]), tonumber(ARGV[17])
if give_ms == 0 then give_ms = lease_ms end
if was_silent and (serving < issued or redis.call('ZCARD', READY) > 0) then   -- whoever asks next won't see the silence
  forget_the_grace()
end
local deadline = tonumber(held[1])
if not (deadline and deadline > now) then
  if (tonumber(redis.call('ZSCORE', RELEASED, sid)) or 0) > now then return finish('GONE', 0) end
  if token_deadline <= now then return finish('EXPIRED', 0) end
  local hold = redis.call('HMGET', LINE, 'hold_from', 'hold_until')
  local covered_until = math.max(tonumber(hold[2]) or 0, (tonumber(hold[1]) or -lease_ms) + lease_ms)
  if now >= covered_until and tonumber(ARGV[18]) ~= 1 then start_hold(lease_ms) end
  deadline = token_deadline
  redis.call('HINCRBY', LINE, 'visits', 1)
end
deadline = math.max(deadline, now + give_ms)
redis.call('ZADD', LEASES, deadline, sid)
return finish('ADMIT', deadline)
