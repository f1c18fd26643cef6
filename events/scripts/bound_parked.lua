-- Let parked work go that nobody handles, and that is too much or too old.
-- ARGV: prefix, dedup ttl in ms, history ttl in ms, most events and bytes of a source, how long in ms, most to let go at once
-- Answer: how many were let go now and ever, then for every source: name, how many are left, their bytes, age of the oldest
--   in ms
local dedup_ttl, history_ttl, events, bytes = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local since, most = now - tonumber(ARGV[6]), tonumber(ARGV[7])
local gone, answer = 0, { 0, 0 }
even_when_full()
for _, source in ipairs(redis.call('SMEMBERS', P .. 'unhandled')) do
  gone = gone + bound_unhandled(source, events, bytes, since, most - gone, dedup_ttl, history_ttl)
  local oldest = redis.call('ZRANGE', P .. 'unhandled:' .. source, 0, 0, 'WITHSCORES')
  answer[#answer + 1] = source
  answer[#answer + 1] = redis.call('ZCARD', P .. 'unhandled:' .. source)
  answer[#answer + 1] = tonumber(redis.call('HGET', P .. 'usage', source .. '|unhandled') or 0)
  answer[#answer + 1] = oldest[2] and math.max(0, math.floor(now - tonumber(oldest[2]))) or 0
end
settle()
-- Older workers do not count off what they have handled. With nothing left, it is known what is right.
if redis.call('EXISTS', P .. 'queue', P .. 'held', P .. 'dead', P .. 'parked') == 0 then
  for _, name in ipairs(redis.call('HKEYS', P .. 'usage')) do
    if string.match(name, '|pending$') then redis.call('HDEL', P .. 'usage', name) end
  end
end
forget_ended(history_ttl)
answer[1], answer[2] = gone, tonumber(redis.call('HGET', P .. 'totals', 'let_go') or 0)
return answer
