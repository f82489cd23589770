-- Stands behind the prelude where the line may move: why nobody goes in now, by an operator's word or by the clock.

local waiting_from, opens_at, closes_at, seed = 0, 0, 0, ''
if ARGV[15] ~= '' then
  waiting_from, opens_at, closes_at, seed = string.match(ARGV[15], '(%d+):(%d+):(%d+):(%x*)')
end
waiting_from, opens_at = tonumber(live[7]) or tonumber(waiting_from), tonumber(live[8]) or tonumber(opens_at)
closes_at = tonumber(live[9]) or tonumber(closes_at)
if live[10] == '0' then seed = '' elseif live[10] or seed ~= '' then seed = live[11] or seed end

local PAUSED, CLOSED, OPENS, EARLY = 1, 2, 3, 4    -- 0 means that people go in
local shut = 0
if live[6] == 'closed' or closes_at > 0 and clock_ms >= closes_at then shut = CLOSED
elseif live[6] == 'paused' then shut = PAUSED
elseif clock_ms < waiting_from then shut = EARLY
elseif clock_ms < opens_at then shut = OPENS end
