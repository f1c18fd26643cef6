-- A run that is leased again does not wait any more.
-- ARGV: prefix, member, token, bucket, name under which the event is kept for it
-- Answer: { 1, the event (JSON), or false when none has come }, or { 0 } when the lease was lost
even_when_full()
if redis.call('HGET', P .. 'work:' .. ARGV[2], 'token') ~= ARGV[3] then return { 0 } end
redis.call('HDEL', P .. 'waits:' .. ARGV[4], ARGV[2])
return { 1, redis.call('HGET', P .. 'steps:' .. ARGV[2], ARGV[5]) }
