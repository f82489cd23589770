-- join(sid): a newcomer. -> ADMIT deadline | TICKET number | FULL | CLOSED
-- Admitted at once only where nobody waits, so that a newcomer never overtakes. Idempotent for a lease.
local deadline = tonumber(held[1])
if deadline and deadline > now then return conclude('ADMIT', deadline) end
if shut == CLOSED then return conclude('CLOSED', 0) end
if serving >= issued and present == 0 and is_grace_over and room() > 0 then
  return conclude('ADMIT', admit(lease_ms))
end
if max_waiting >= 0 and waiting() >= max_waiting then return conclude('FULL', 0) end
if waiting() == 0 then             -- a line forms: from now on its pace is that of slots which come free
  set('rate', 0)
  set('rate_from', now)
end
issued = issued + 1
local number = issued
advance()
return conclude('TICKET', number)
