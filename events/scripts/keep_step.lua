-- Keep what steps of handlers returned, where their leases are still held.
-- ARGV: prefix, then for every step: member, token, handler, step, result (JSON)
-- Answer: for every step 1 kept, 0 the lease was lost
local answers = {}
even_when_full()
for i = 2, #ARGV, 5 do
  local member, handler, step = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  local work = P .. 'work:' .. member
  local held = redis.call('HGET', work, 'token') == ARGV[i + 1]
  if held then
    -- From here on the work is this handler's, whatever other versions of the code would choose.
    redis.call('HSET', work, 'handler', handler)
    redis.call('HSET', P .. 'steps:' .. member, step, ARGV[i + 4])
    note(key_of(member), 'step {"handler":' .. cjson.encode(handler) .. ',"step":' .. cjson.encode(step) .. '}')
  end
  answers[#answers + 1] = held and 1 or 0
end
return answers
