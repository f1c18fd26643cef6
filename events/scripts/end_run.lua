-- Say how runs of workflows have ended, or, with the status running, why an attempt of theirs failed.
-- ARGV: prefix, history ttl in ms, then for every run: member, token, run, status, result (JSON), error ('' for none)
-- Answer: for every run 1 kept, 0 the lease was lost
local history_ttl = tonumber(ARGV[2])
local answers = {}
even_when_full()
for i = 3, #ARGV, 6 do
  local run = P .. 'run:' .. ARGV[i + 2]
  if redis.call('HGET', P .. 'work:' .. ARGV[i], 'token') ~= ARGV[i + 1] then
    answers[#answers + 1] = 0
  else
    redis.call('HSET', run, 'status', ARGV[i + 3])
    if ARGV[i + 5] == '' then redis.call('HDEL', run, 'error') else redis.call('HSET', run, 'error', ARGV[i + 5]) end
    if ARGV[i + 3] ~= 'running' then
      redis.call('HSET', run, 'result', ARGV[i + 4], 'ended', stamp)
      redis.call('PEXPIRE', run, history_ttl)
      redis.call('ZREM', P .. 'runs:open', ARGV[i + 2])
      redis.call('ZADD', P .. 'runs:ended', now, ARGV[i + 2])
    end
    answers[#answers + 1] = 1
  end
end
redis.call('ZREMRANGEBYSCORE', P .. 'runs:ended', '-inf', now - history_ttl)
return answers
