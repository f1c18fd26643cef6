-- Give an event to runs that wait for it, and make them due. One that does not wait any more, or for something else by
-- now, is left alone.
-- ARGV: prefix, bucket, event (JSON), then for every run: member, entry as it was found, name to keep the event under
-- Answer: how many were woken
local bucket = P .. 'waits:' .. ARGV[2]
local woken = 0
even_when_full()
for i = 4, #ARGV, 3 do
  local member = ARGV[i]
  local work = P .. 'work:' .. member
  if redis.call('HGET', bucket, member) == ARGV[i + 1] then
    redis.call('HDEL', bucket, member)
    if redis.call('EXISTS', work) == 1 then
      redis.call('HSET', P .. 'steps:' .. member, ARGV[i + 2], ARGV[3])
      -- While it is leased, whoever has it looks again before giving it up.
      if not redis.call('HGET', work, 'token') then redis.call('ZADD', P .. 'queue', 'XX', now, member) end
      woken = woken + 1
    end
  end
end
if woken > 0 then wake() end
return woken
