-- Prolong leases that are still held. A lease that passed to another owner is left alone.
-- ARGV: prefix, lease in ms, then for every lease: member, token
-- Answer: for every lease 1 renewed, 0 lost
local lease = tonumber(ARGV[2])
local answers = {}
even_when_full()
for i = 3, #ARGV, 2 do
  local held = redis.call('HGET', P .. 'work:' .. ARGV[i], 'token') == ARGV[i + 1]
  if held then redis.call('ZADD', P .. 'queue', 'XX', now + lease, ARGV[i]) end
  answers[#answers + 1] = held and 1 or 0
end
return answers
