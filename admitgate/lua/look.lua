-- look(): what the shared status is made from; moves the line on. -> SEEN | UNKNOWN (an event that nobody has asked for)
advance()
return conclude('SEEN', 0)
