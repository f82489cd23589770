-- renew(sid, 19 the token's deadline, 20 ms to renew for, 21 its kind: 1 if a worker let them in without asking, in an outage, 2 if it is
-- a claim's, 22 ms for which a token is still good after two newer ones, 0 for ever): somebody shows a lease.
-- -> ADMIT deadline | GONE | EXPIRED | COPIED
-- A token that is still valid while its lease is unknown is adopted; unless it was never known, that means that state was lost.
-- A token whose successor has itself been renewed is a copy: whoever went on with the successor has the cookie, too.
local UNASKED, CLAIM = 1, 2
local token_deadline, give_ms, kind, overlap_ms = tonumber(ARGV[19]), tonumber(ARGV[20]), tonumber(ARGV[21]), tonumber(ARGV[22])
if give_ms == 0 then give_ms = lease_ms end
if was_silent and (serving < issued or redis.call('ZCARD', READY) > 0) then   -- whoever asks next won't see the silence
  forget_the_grace()
end
local deadline = tonumber(held[1])
if not (deadline and deadline > now) then
  local void_until = tonumber(redis.call('ZSCORE', RELEASED, sid)) or 0
  if is_account and kind == UNASKED and token_deadline > void_until - TICKET_LIFE_MS + lease_ms then void_until = 0 end   -- a later one
  if void_until > now then return finish('GONE', 0) end
  if token_deadline <= now then return finish('EXPIRED', 0) end
  if token_deadline <= (tonumber(line[11]) or -lease_ms) + lease_ms then return finish('EXPIRED', 0) end   -- of before a reset
  local hold = redis.call('HMGET', LINE, 'hold_from', 'hold_until', 'unlisted')
  if token_deadline <= (tonumber(hold[3]) or 0) then return finish('GONE', 0) end   -- it may have been given back
  local covered_until = math.max(tonumber(hold[2]) or 0, (tonumber(hold[1]) or -lease_ms) + lease_ms)
  if now >= covered_until and kind ~= UNASKED then start_hold(lease_ms) end
  deadline = token_deadline
  redis.call('HINCRBY', LINE, 'visits', 1)
  if tonumber(ARGV[14]) > 0 then redis.call('ZADD', PLACES, 0, sid) end
elseif overlap_ms > 0 and token_deadline > 0 then
  local is_behind = deadline - token_deadline > lease_ms * 2 / 3 and now > deadline - lease_ms + overlap_ms
  if now > token_deadline + overlap_ms or is_behind and kind ~= CLAIM then return finish('COPIED', 0) end
end
deadline = math.max(deadline, now + give_ms)
redis.call('ZADD', LEASES, deadline, sid)
return finish('ADMIT', deadline)
