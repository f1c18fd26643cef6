-- Keep what a step of a handler returned, if the lease is still held.
-- ARGV: prefix, member, token, handler, step, result (JSON)
-- Answer: 1 kept, 0 the lease was lost
local member, work = ARGV[2], P .. 'work:' .. ARGV[2]
even_when_full()
if redis.call('HGET', work, 'token') ~= ARGV[3] then return 0 end
-- From here on the work is this handler's, whatever other versions of the code would choose.
redis.call('HSET', work, 'handler', ARGV[4])
redis.call('HSET', P .. 'steps:' .. member, ARGV[5], ARGV[6])
note(key_of(member), 'step {"handler":' .. cjson.encode(ARGV[4]) .. ',"step":' .. cjson.encode(ARGV[5]) .. '}')
return 1
