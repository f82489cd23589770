-- Stands behind flow.lua in the verbs that let somebody in: how many places a client has, and a slot taken.

local TAG, STALE_MOST = 5, 20      -- a sid's characters that tell whose it is; places looked at beyond those of a client
local WAITS, WAIT_LEAST_MS = 14, 5000   -- admitted at once, after 5 s at most, 10, 20, …, or later

-- True where the visitor's client has as many places as one may have, besides this one. Places whose lease or presence has
-- ended meanwhile are dropped here at the latest.
local function is_shared()
  if places_most == 0 then return false end
  if in_use + present > 0 and redis.call('EXISTS', PLACES) == 0 then   -- lost, or counted only from now on
    redis.call('ZUNIONSTORE', PLACES, 2, LEASES, READY, 'WEIGHTS', 0, 0)
    redis.call('ZREM', PLACES, SENTINEL)
    redis.call('PEXPIRE', PLACES, EXPIRY_MS)
  end
  local tag, others = string.sub(sid, 1, TAG), 0
  for _, other in ipairs(redis.call('ZRANGEBYLEX', PLACES, '[' .. tag, '(' .. tag .. '\255', 'LIMIT', 0, places_most + STALE_MOST)) do
    if other ~= sid then
      local lease_until = tonumber(redis.call('ZSCORE', LEASES, other)) or 0
      local seen_until = lease_until > now and now or tonumber(redis.call('ZSCORE', SEEN, other)) or 0
      if lease_until > now or seen_until > now then others = others + 1 else redis.call('ZREM', PLACES, other) end
    end
  end
  return others >= places_most
end

local function take_place()
  if places_most > 0 and redis.call('ZADD', PLACES, 0, sid) == 1 and in_use + present <= 1 then
    redis.call('PEXPIRE', PLACES, EXPIRY_MS)
  end
end

-- The waits are told apart only of those who waited: who went in at once are the rest of the admitted.
local function tally(waited_ms)
  set('admitted', (tonumber(flow[16]) or 0) + 1)
  if waited_ms == 0 then return end
  local waits, nth = {}, 1
  for total in string.gmatch(flow[20] or '', '%d+') do waits[#waits + 1] = total end
  for missing = #waits + 1, WAITS do waits[missing] = 0 end
  local most = 0
  while nth < WAITS and waited_ms > most do
    most = most == 0 and WAIT_LEAST_MS or most * 2
    nth = nth + 1
  end
  waits[nth] = waits[nth] + 1
  changed[#changed + 1] = 'waits'
  changed[#changed + 1] = table.concat(waits, ',')
end

local function admit(for_ms, waited_ms)
  local deadline = now + for_ms
  redis.call('ZADD', LEASES, deadline, sid)
  in_use = in_use + 1
  take_place()
  tally(waited_ms)
  set('visits', visits + 1)
  set('rate', recent + 1000 / RATE_MEAN_MS)
  set('rate_at', now)
  if extra > 0 and (shut > 0 or tokens < 1) then
    redis.call('HINCRBY', SETTINGS, 'extra', -1)
  elseif per_minute > 0 then
    set('tokens', tokens - 1)
    set('tokens_at', now)
  end
  return deadline
end
