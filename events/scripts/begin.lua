-- Begin work that was leased alone: from here on its claim counts, and the lease is a full one again.
-- ARGV: prefix, lease in ms, member, token, claims so far
-- Answer: 1 begun, 0 the lease was lost
local lease, member, token, claims = tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local work = P .. 'work:' .. member
even_when_full()
if redis.call('HGET', work, 'token') ~= token then return 0 end
redis.call('HSET', work, 'claims', claims + 1)
redis.call('ZADD', P .. 'queue', 'XX', now + lease, member)
return 1
