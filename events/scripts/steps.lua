-- The steps of a piece of work that are done, if the lease is still held.
-- ARGV: prefix, member, token
-- Answer: names and results in turn; false when the lease was lost
if redis.call('HGET', P .. 'work:' .. ARGV[2], 'token') ~= ARGV[3] then return false end
return redis.call('HGETALL', P .. 'steps:' .. ARGV[2])
