-- Remember an event of a type that runs wait for, for those that begin to wait a moment too late.
-- ARGV: prefix, type, event ('' when it is too large to be remembered), most to remember, how long in ms
local list, number = P .. 'arrived:' .. ARGV[2], P .. 'arrivals:' .. ARGV[2]
even_when_full()
if ARGV[3] ~= '' then
  redis.call('RPUSH', list, ARGV[3])
  redis.call('LTRIM', list, -tonumber(ARGV[4]), -1)
  redis.call('PEXPIRE', list, ARGV[5])
end
return redis.call('INCR', number)
