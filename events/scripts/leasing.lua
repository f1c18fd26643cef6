-- Leasing of work, by a claim or when it is accepted.

-- The origin of an event, and its meta without the digest, as histories have it.
local function split_meta(meta)
  local origin, shown, rest = string.match(meta, '^(({"source":"[^"\\]*","bytes":%d+,)"digest":%d+,)()')
  if origin then return origin, shown .. string.sub(meta, rest) end
  return string.match(meta, '^{"source":"[^"\\]*","bytes":%d+,') or string.match(meta, '^{"source":"[^"\\]*"'), meta
end

-- The score of *member* moves to the *ending* of its lease. *order* is the time of its acceptance. The work has the *origin* of
-- its event, so that its end need not look at the event.
local function lease_until(ending, member, token, claims, order, origin)
  redis.call('ZADD', P .. 'queue', ending, member)
  if origin then
    redis.call('HSET', P .. 'work:' .. member, 'token', token, 'claims', claims, 'order', order, 'origin', origin)
  else
    redis.call('HSET', P .. 'work:' .. member, 'token', token, 'claims', claims, 'order', order)
  end
end

-- The first lease starts the history, not the accept script, which has to be fast. *meta* is without the digest.
local function begin_history(key, received, meta, claimed)
  local history, beginning = P .. 'history:' .. key, received .. ' received ' .. meta
  -- A conflict may have started it before.
  if redis.call('RPUSH', history, beginning, stamp .. ' ' .. claimed) > 2 then
    redis.call('LREM', history, -1, beginning)
  end
end

local function claimed_by(owner, handler)
  handler = handler and ',"handler":' .. cjson.encode(handler) or ''
  return 'claimed {"worker":' .. cjson.encode(owner) .. handler .. '}'
end
