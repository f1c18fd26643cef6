-- Lease due work: its score moves to now + lease, so a claim that is never finished becomes due again by itself.
-- ARGV: prefix, most, lease in ms, owner
-- Answer: { ms until the next work is due, rounded up, or -1, then for every lease: member, token, stored event (false when
--   missing), handler (false when none was chosen yet), attempts used up, claims that were never finished }
local most, lease, owner = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local queue, worker = P .. 'queue', cjson.encode(owner)
even_when_full()
redis.call('ZADD', P .. 'workers', now, owner)
local members = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'LIMIT', 0, most)
local answer = { -1 }
for i = 1, #members do
  local member = members[i]
  local key = key_of(member)
  local work = P .. 'work:' .. member
  local token = owner .. ':' .. stamp .. ':' .. i
  redis.call('ZADD', queue, now + lease, member)
  local state = redis.call('HMGET', work, 'handler', 'attempts', 'claims')
  local claims = tonumber(state[3]) or 0
  redis.call('HSET', work, 'token', token, 'claims', claims + 1)
  local stored = redis.call('GET', P .. 'event:' .. key)
  if stored and redis.call('EXISTS', P .. 'history:' .. key) == 0 then
    local received, meta = string.match(stored, '^(%d+)\n([^\n]*)\n')
    if received then redis.call('RPUSH', P .. 'history:' .. key, received .. ' received ' .. meta) end
  end
  local handler = state[1] and ',"handler":' .. cjson.encode(state[1]) or ''
  note(key, 'claimed {"worker":' .. worker .. handler .. '}')
  answer[#answer + 1] = member
  answer[#answer + 1] = token
  answer[#answer + 1] = stored
  answer[#answer + 1] = state[1]
  answer[#answer + 1] = tonumber(state[2]) or 0
  answer[#answer + 1] = claims
end
local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
if first[2] then
  answer[1] = math.max(0, math.ceil(tonumber(first[2]) - now))
  if #members > 0 and answer[1] == 0 then wake() end
end
return answer
