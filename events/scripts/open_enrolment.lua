-- Let the next handshake of a source leave something, for a while. A second call counts from its own beginning.
-- ARGV: prefix, source, length of the window (ms)
-- Answer: when the window closes (ms)
local closes = string.format('%.0f', math.floor(now) + ARGV[3])
redis.call('SET', P .. 'enrolment:' .. ARGV[2], closes, 'PX', ARGV[3])
return tonumber(closes)
