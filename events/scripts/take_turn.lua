-- Take the turn to reconcile, which one process at a time has.
-- ARGV: prefix, token of the process, how long in ms the turn is its own, how long in ms until the very first one is due, 1 to
--   take it before it is due
-- Answer: what is remembered from turn to turn, as pairs; nil when it is not due, or somebody else has the turn
local reconcile = P .. 'reconcile'
local state = redis.call('HMGET', reconcile, 'owner', 'until', 'due')
if state[1] and tonumber(state[2]) > now then return nil end
if ARGV[5] ~= '1' then
  if not state[3] then redis.call('HSET', reconcile, 'due', stamp + ARGV[4]) end
  if tonumber(state[3] or math.huge) > now then return nil end
end
redis.call('HSET', reconcile, 'owner', ARGV[2], 'until', stamp + ARGV[3])
return redis.call('HGETALL', reconcile)
