-- Give dead letters or parked work up for good.
-- ARGV: prefix, set ('dead' or 'parked'), dedup ttl in ms, history ttl in ms, note (JSON), then the members
-- Answer: how many were in the set
local set, dedup_ttl, history_ttl, detail = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local gone = 0
for i = 6, #ARGV do
  if redis.call('ZREM', P .. set, ARGV[i]) == 1 then
    note(key_of(ARGV[i]), 'discarded ' .. detail)
    local state = redis.call('HMGET', P .. 'work:' .. ARGV[i], 'origin', 'note')
    if set == 'parked' then
      no_longer_unhandled(ARGV[i], read_origin(state[1] or ''))
    else
      take_from_cause(ARGV[i], read_note(state[2]))
    end
    close(ARGV[i], dedup_ttl, history_ttl, state[1])
    gone = gone + 1
  end
end
settle()
if gone > 0 then redis.call('HINCRBY', P .. 'totals', 'discarded', gone) end
return gone
