-- Find the causes of dead letters that a version without causes has added, a part of them in each call.
-- ARGV: prefix, how many to look at
-- Answer: 1 all causes are known, 0 call again
-- A version without causes also removes dead letters. Then the numbers differ, and all causes are found anew.
local most = ARGV[2]
local cursor = redis.call('GET', P .. 'causes_cursor')
if not cursor then
  local known = redis.call('ZRANGE', P .. 'causes', 0, -1, 'WITHSCORES')
  local total = 0
  for i = 2, #known, 2 do total = total + tonumber(known[i]) end
  if total == redis.call('ZCARD', P .. 'dead') then return 1 end
  for i = 1, #known, 2 do redis.call('UNLINK', P .. 'cause:' .. known[i], P .. 'cause_names:' .. known[i]) end
  redis.call('DEL', P .. 'causes')
  cursor = '0'
end
local found = redis.call('ZSCAN', P .. 'dead', cursor, 'COUNT', most)
for i = 1, #found[2], 2 do
  local member = found[2][i]
  add_to_cause(member, found[2][i + 1], read_note(redis.call('HGET', P .. 'work:' .. member, 'note')))
end
if found[1] == '0' then
  redis.call('DEL', P .. 'causes_cursor')
  return 1
end
redis.call('SET', P .. 'causes_cursor', found[1])
return 0
