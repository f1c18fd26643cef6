-- Split an event that several handlers want into one piece of work for each, if the lease is still held.
-- ARGV: prefix, key, token, then the handlers' names
-- Answer: 1 split, 0 the lease was lost
local key, token = ARGV[2], ARGV[3]
even_when_full()
if redis.call('HGET', P .. 'work:' .. key, 'token') ~= token then return 0 end
redis.call('ZREM', P .. 'queue', key)
redis.call('DEL', P .. 'work:' .. key)
redis.call('SET', P .. 'open:' .. key, #ARGV - 3)
for i = 4, #ARGV do
  local member = key .. '|' .. ARGV[i]
  redis.call('HSET', P .. 'work:' .. member, 'handler', ARGV[i])
  redis.call('ZADD', P .. 'queue', now, member)
end
wake()
return 1
