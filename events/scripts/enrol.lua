-- Keep what a handshake brings before anything has proven its sender: only while an operator has opened an enrolment
-- window for the source. The first one closes it; repeating the stored values changes nothing, and answers 1.
-- ARGV: prefix, source, then name and value (JSON) for each
-- Answer: 1 it is kept, 0 nothing was changed
local context = P .. 'context:' .. ARGV[2]
if redis.call('DEL', P .. 'enrolment:' .. ARGV[2]) == 0 then
  for i = 3, #ARGV, 2 do
    if redis.call('HGET', context, ARGV[i]) ~= ARGV[i + 1] then return 0 end
  end
  return 1
end
for i = 3, #ARGV, 2 do redis.call('HSET', context, ARGV[i], ARGV[i + 1]) end
redis.call('SET', P .. 'enrolled:' .. ARGV[2], stamp)
return 1
