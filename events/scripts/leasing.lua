-- How work is leased, by a claim or in the moment of its acceptance.

-- What an event counts for: its source, and the bytes that its acceptance has counted, if it did.
local function share_of(meta)
  local source, bytes = string.match(meta, '^{"source":"([^"\\]*)","bytes":(%d+),')
  if source then return source, tonumber(bytes) end
  return string.match(meta, '^{"source":"([^"\\]*)"')
end

-- The score of *member* moves to the *ending* of its lease. *order* is the time of its acceptance. The work knows what its
-- event counts for (*source* and *bytes*, where known), so that its end need not look at the event.
local function lease_until(ending, member, token, claims, order, source, bytes)
  local work = P .. 'work:' .. member
  redis.call('ZADD', P .. 'queue', ending, member)
  if bytes then
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order, 'source', source, 'bytes', bytes)
  elseif source then
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order, 'source', source)
  else
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order)
  end
end

-- The first lease begins the history, not the accept: that has to be quick.
local function begin_history(key, received, meta, claimed)
  redis.call('RPUSH', P .. 'history:' .. key, received .. ' received ' .. meta, stamp .. ' ' .. claimed)
end

local function claimed_by(owner, handler)
  handler = handler and ',"handler":' .. cjson.encode(handler) or ''
  return 'claimed {"worker":' .. cjson.encode(owner) .. handler .. '}'
end
