-- Split an event that several handlers want into one piece of work for each, if the lease is still held.
-- ARGV: prefix, key, token, how many of the handlers are ordered, then the handlers' names, those first
-- Answer: 1 split, 0 the lease was lost
local key, token, ordered = ARGV[2], ARGV[3], tonumber(ARGV[4])
even_when_full()
local state = redis.call('HMGET', P .. 'work:' .. key, 'token', 'order', 'unrouted', 'origin')
if state[1] ~= token then return 0 end
local order, origin = state[2] or stamp, state[4]
redis.call('ZREM', P .. 'queue', key)
redis.call('DEL', P .. 'work:' .. key)
redis.call('SET', P .. 'open:' .. key, #ARGV - 4)
for i = 5, #ARGV do
  local member = key .. '|' .. ARGV[i]
  redis.call('HSET', P .. 'work:' .. member, 'handler', ARGV[i], 'order', order)
  if origin then redis.call('HSET', P .. 'work:' .. member, 'origin', origin) end
  redis.call('ZADD', P .. 'queue', now, member)
  if i - 4 <= ordered then
    redis.call('HSET', P .. 'work:' .. member, 'unrouted', 1)
    redis.call('ZADD', P .. 'unrouted', order, member)
  end
end
if state[3] then
  routed(key)
  unblock()
end
wake()
return 1
