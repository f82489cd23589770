-- levels(): how an event stands, for who only reads. It moves no line and writes nothing, so that an event which nobody comes to any more
-- ends in its time however often this is asked.
-- KEYS    as in prelude.lua
-- -> a list: event time in ms, in use, present, then the line's fields and values, then '', then those of the settings
local LINE, LEASES, SEEN, SETTINGS = KEYS[1], KEYS[2], KEYS[4], KEYS[6]
local clock = redis.call('TIME')
local line, settings = redis.call('HGETALL', LINE), redis.call('HGETALL', SETTINGS)
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + (tonumber(redis.call('HGET', LINE, 'offset')) or 0)
local alive = string.format('(%.0f', now)
local answer = {string.format('%.0f', now), redis.call('ZCOUNT', LEASES, alive, '(+inf'), redis.call('ZCOUNT', SEEN, alive, '+inf')}
for _, word in ipairs(line) do answer[#answer + 1] = word end
answer[#answer + 1] = ''
for _, word in ipairs(settings) do answer[#answer + 1] = word end
return answer
