-- An account works again: run what was parked for it, with the attempts it had, and let what is about to be parked run too.
-- ARGV: prefix, account, how long in ms a lease may have begun before this and still be under way
-- Answer: how many pieces run again
local waiting, moved = account_key('reconnect', ARGV[2]), 0
even_when_full()
local members = redis.call('SMEMBERS', waiting)
for i = 1, #members do
  local member = members[i]
  if redis.call('ZREM', P .. 'parked', member) == 1 then
    redis.call('HDEL', P .. 'work:' .. member, 'note', 'claims', 'token')
    redis.call('ZADD', P .. 'queue', now, member)
    note(key_of(member), 'unparked {"why":"account_reconnected"}')
    moved = moved + 1
  end
end
redis.call('DEL', waiting)
redis.call('SET', account_key('reconnected', ARGV[2]), stamp, 'PX', ARGV[3])
if moved > 0 then
  redis.call('HINCRBY', P .. 'totals', 'unparked', moved)
  wake()
end
return moved
