-- The state of the queue in one look.
-- ARGV: prefix, how long in ms a worker counts as alive after its last claim
-- Answer: { ready, oldest ready age in ms, leased or waiting for a retry, dead, parked, workers, totals as pairs, put aside
--   until their key is free }
redis.call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', now - tonumber(ARGV[2]))
local ready = redis.call('ZCOUNT', P .. 'queue', '-inf', now)
local oldest = 0
if ready > 0 then oldest = now - tonumber(redis.call('ZRANGE', P .. 'queue', 0, 0, 'WITHSCORES')[2]) end
return {
  ready, oldest, redis.call('ZCARD', P .. 'queue') - ready, redis.call('ZCARD', P .. 'dead'),
  redis.call('ZCARD', P .. 'parked'), redis.call('ZCARD', P .. 'workers'), redis.call('HGETALL', P .. 'totals'),
  redis.call('ZCARD', P .. 'held'),
}
