-- Go on with the turn to reconcile, remember something, or end the turn.
-- ARGV: prefix, token of the process, how long in ms the turn is its own from now on, or how long until the next one is due
--   with a minus in front when it ends here, then pairs of what is remembered
-- Answer: 1; 0 when the turn is somebody else's by now: then nothing is remembered
local reconcile = P .. 'reconcile'
if redis.call('HGET', reconcile, 'owner') ~= ARGV[2] then return 0 end
local time_left = tonumber(ARGV[3])
if time_left > 0 then
  redis.call('HSET', reconcile, 'until', stamp + time_left)
else
  redis.call('HDEL', reconcile, 'owner', 'until')
  redis.call('HSET', reconcile, 'due', stamp - time_left)
end
for i = 4, #ARGV, 2 do redis.call('HSET', reconcile, ARGV[i], ARGV[i + 1]) end
return 1
