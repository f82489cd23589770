-- join(sid, 19 see brief.lua): a newcomer. -> ADMIT deadline | INSIDE deadline | TICKET number | FULL | EARLY | CLOSED
-- Admitted at once only where nobody waits, so that a newcomer never overtakes. INSIDE: there is a lease already.
local deadline = tonumber(held[1])
if deadline and deadline > now then return conclude('INSIDE', deadline) end
if shut == CLOSED then return conclude('CLOSED', 0) end
if shut == EARLY then return conclude('EARLY', 0) end
if live[6] == 'draining' then return conclude('FULL', 0) end
if serving >= issued and present == 0 and is_grace_over and room() > 0 and live[6] ~= 'queueing' and not is_shared() then
  return conclude('ADMIT', admit(lease_ms, 0))
end
if max_waiting >= 0 and waiting() >= max_waiting then return conclude('FULL', 0) end
if waiting() == 0 then             -- a line forms: from now on its pace is that of slots which come free
  set('rate', 0)
  set('rate_from', now)
end
set('joined', (tonumber(line[12]) or 0) + 1)
issued = issued + 1
local number = issued
advance()
return conclude('TICKET', number)
