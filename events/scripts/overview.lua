-- The state of the queue in one look.
-- ARGV: prefix, how long in ms a worker counts as alive after its last claim
-- Answer: { ready, oldest ready age in ms, leased or waiting for a retry, dead, parked, workers, totals as pairs, put aside
--   until their key is free, counts by source as pairs, then of each source with parked work that nobody handles its name,
--   how many there are and the age of the oldest in ms }
redis.call('ZREMRANGEBYSCORE', P .. 'workers', '-inf', now - tonumber(ARGV[2]))
local ready = redis.call('ZCOUNT', P .. 'queue', '-inf', now)
local oldest = 0
if ready > 0 then oldest = now - tonumber(redis.call('ZRANGE', P .. 'queue', 0, 0, 'WITHSCORES')[2]) end
local unhandled = {}
for _, source in ipairs(redis.call('SMEMBERS', P .. 'unhandled')) do
  local first = redis.call('ZRANGE', P .. 'unhandled:' .. source, 0, 0, 'WITHSCORES')
  unhandled[#unhandled + 1] = source
  unhandled[#unhandled + 1] = redis.call('ZCARD', P .. 'unhandled:' .. source)
  unhandled[#unhandled + 1] = first[2] and math.max(0, math.floor(now - tonumber(first[2]))) or 0
end
return {
  ready, oldest, redis.call('ZCARD', P .. 'queue') - ready, redis.call('ZCARD', P .. 'dead'),
  redis.call('ZCARD', P .. 'parked'), redis.call('ZCARD', P .. 'workers'), redis.call('HGETALL', P .. 'totals'),
  redis.call('ZCARD', P .. 'held'), redis.call('HGETALL', P .. 'usage'), unhandled,
}
