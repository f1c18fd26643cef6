-- Let a run wait for an event: it is found under the event's bucket from now on, and is due at its timeout. Ends the lease.
-- ARGV: prefix, member, token, bucket, entry (JSON), ms until the timeout, type of the event, arrivals seen, note (JSON)
-- Answer: 1 waits, 0 the lease was lost, 2 another event of the type has come since the arrivals were looked at
local member, token, bucket = ARGV[2], ARGV[3], P .. 'waits:' .. ARGV[4]
local work = P .. 'work:' .. member
even_when_full()
local state = redis.call('HMGET', work, 'token', 'unrouted')
if state[1] ~= token then return 0 end
if (redis.call('GET', P .. 'arrivals:' .. ARGV[7]) or '0') ~= ARGV[8] then return 2 end
redis.call('HSET', bucket, member, ARGV[5])
redis.call('HDEL', work, 'token', 'claims')
redis.call('ZADD', P .. 'queue', now + tonumber(ARGV[6]), member)
redis.call('HINCRBY', P .. 'totals', 'released', 1)
note(key_of(member), 'released ' .. ARGV[9])
wake()
if state[2] then
  routed(member)
  unblock()
end
return 1
