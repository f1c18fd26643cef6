-- Run dead letters or parked work again, with all attempts anew.
-- ARGV: prefix, set ('dead' or 'parked'), history word, whether to forget the steps that are done (1 or 0), then the
--   members
-- Answer: how many were in the set
local set, word, afresh = ARGV[2], ARGV[3], ARGV[4] == '1'
local moved = 0
for i = 5, #ARGV do
  local member = ARGV[i]
  if redis.call('ZREM', P .. set, member) == 1 then
    local state = redis.call('HMGET', P .. 'work:' .. member, 'note', 'origin')
    if set == 'dead' then
      take_from_cause(member, read_note(state[1]))
    else
      local account = account_of(state[1])
      no_longer_unhandled(member, read_origin(state[2] or ''))
      if account then redis.call('SREM', account_key('reconnect', account), member) end
    end
    redis.call('HDEL', P .. 'work:' .. member, 'attempts', 'note', 'claims', 'token')
    if afresh then redis.call('DEL', P .. 'steps:' .. member) end
    redis.call('ZADD', P .. 'queue', now, member)
    note(key_of(member), word)
    moved = moved + 1
  end
end
if moved > 0 then
  redis.call('HINCRBY', P .. 'totals', word, moved)
  wake()
end
return moved
