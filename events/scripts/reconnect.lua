-- Accounts work again: run what was parked for them, with the attempts it had, and let what is about to be parked run too.
-- ARGV: prefix, how long in ms a lease may have begun before this and still be under way, then the accounts
-- Answer: for every account, how many pieces run again
local answers, total = {}, 0
even_when_full()

local function run_again(waiting)
  local moved = 0
  for _, member in ipairs(redis.call('SMEMBERS', waiting)) do
    if redis.call('ZREM', P .. 'parked', member) == 1 then
      redis.call('HDEL', P .. 'work:' .. member, 'note', 'claims', 'token')
      redis.call('ZADD', P .. 'queue', now, member)
      note(key_of(member), 'unparked {"why":"account_reconnected"}')
      moved = moved + 1
    end
  end
  redis.call('DEL', waiting)
  return moved
end

for i = 3, #ARGV do
  local moved = run_again(account_key('reconnect', ARGV[i]))
  redis.call('SET', account_key('reconnected', ARGV[i]), stamp, 'PX', ARGV[2])
  answers[#answers + 1] = moved
  total = total + moved
end
if total > 0 then
  redis.call('HINCRBY', P .. 'totals', 'unparked', total)
  wake()
end
return answers
