-- Take a place in budgets of starts, each so many within a period: the first moment at which all of them have one.
-- ARGV: prefix, longest wait in ms, then for every budget: name, count, period in ms
-- Answer: ms until the start, which is taken; or that negated, less 1, when it is further away than the longest wait: then
--   nothing is taken
local longest = tonumber(ARGV[2])
local start = now
for i = 3, #ARGV, 3 do
  local starts, count = P .. 'spent:' .. ARGV[i], tonumber(ARGV[i + 1])
  local oldest = redis.call('LINDEX', starts, -count)
  if oldest then start = math.max(start, tonumber(oldest) + tonumber(ARGV[i + 2])) end
end
local wait = math.ceil(start - now)
if wait > longest then return -wait - 1 end
for i = 3, #ARGV, 3 do
  local starts, period = P .. 'spent:' .. ARGV[i], tonumber(ARGV[i + 2])
  redis.call('RPUSH', starts, start)
  redis.call('LTRIM', starts, -tonumber(ARGV[i + 1]), -1)
  redis.call('PEXPIRE', starts, math.ceil(period + wait))
end
return wait
