-- Stands before flow.lua in a newcomer's way. Where people wait already, one more at the end of the line changes nothing but its end:
-- so for a caller who has just seen the rest (ARGV 19 is 1) that is all there is to do. -> TICKET number, and no snapshot.
-- A crowd that comes at once is told its numbers in little more than half the time. Looks and check-ins move the line on.
if tonumber(ARGV[19]) == 1 and serving < issued and not held[1] and not was_silent and not loss_hold_ms
    and tonumber(ARGV[13]) < 0 and not live[4] and shut ~= CLOSED and shut ~= EARLY and live[6] ~= 'draining'
    and (seed == '' or clock_ms < opens_at) then       -- at the opening lots are to be drawn before anybody else comes
  issued = issued + 1
  set('joined', (tonumber(line[12]) or 0) + 1)
  return finish('TICKET', issued)
end
