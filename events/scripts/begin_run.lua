-- Begin, or go on with, runs of workflows whose leases are held.
-- ARGV: prefix, then for every run: member, token, handler, run, digest of the definition, head (JSON)
-- Answer: for every run false when the lease was lost, else { status before, digest it has to go on with, attempt,
--   then names and results of its steps in turn }
-- A run goes on with the definition under which its first step was done.
local answers = {}
even_when_full()
for i = 2, #ARGV, 6 do
  local member, run = ARGV[i], P .. 'run:' .. ARGV[i + 3]
  local work = P .. 'work:' .. member
  if redis.call('HGET', work, 'token') ~= ARGV[i + 1] then
    answers[#answers + 1] = false
  else
    local known = redis.call('HMGET', run, 'status', 'digest')
    local steps = redis.call('HGETALL', P .. 'steps:' .. member)
    local digest = #steps > 0 and known[2] or ARGV[i + 4]
    local attempt = 0
    if known[1] ~= 'completed' and known[1] ~= 'skipped' then
      -- From here on the work is this handler's, whatever other versions of the code would choose.
      redis.call('HSET', work, 'handler', ARGV[i + 2])
      redis.call('HSET', run, 'status', 'running', 'digest', digest)
      if not known[1] then
        redis.call('HSET', run, 'head', ARGV[i + 5], 'started', stamp)
      elseif known[1] == 'failed' then
        redis.call('PERSIST', run)
        redis.call('HDEL', run, 'ended', 'result', 'error')
        redis.call('ZREM', P .. 'runs:ended', ARGV[i + 3])
      end
      redis.call('ZADD', P .. 'runs:open', 'NX', now, ARGV[i + 3])
      attempt = redis.call('HINCRBY', run, 'attempts', 1)
    end
    local answer = { known[1] or '', digest, attempt }
    for j = 1, #steps do answer[#answer + 1] = steps[j] end
    answers[#answers + 1] = answer
  end
end
return answers
