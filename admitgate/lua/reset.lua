-- reset(): the line begins anew; whatever was given out of it before is void. -> RESET
-- What an operator has set stays. `elders` is set, as an old number is no sign of a loss here.
redis.call('DEL', LINE, LEASES, READY, SEEN, RELEASED, PLACES, HISTORY)
born = math.max(now * 1000 + clock[2] % 1000, issued + 1)
issued, serving, gap_from, gap_to = born, born, 0, 0
redis.call('ZADD', LEASES, '+inf', SENTINEL)
redis.call('HSET', LINE, 'event', ARGV[17], 'elders', 1, 'visits', 1, 'offset', now - redis_ms, 'stopped', stopped)
for _, field in ipairs({'born', 'issued', 'serving'}) do set(field, born) end
set('reset_at', now)
kept = 0
return finish('RESET', 0)
