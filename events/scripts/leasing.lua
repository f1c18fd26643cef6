-- Leasing of work, by a claim or when it is accepted.

-- What an event counts for: its source, and the bytes that its acceptance has counted, if it did; and its checksum.
local function share_of(meta)
  local source, bytes = string.match(meta, '^{"source":"([^"\\]*)","bytes":(%d+),')
  if source then return source, tonumber(bytes), digest_of(meta) end
  return string.match(meta, '^{"source":"([^"\\]*)"')
end

-- The score of *member* moves to the *ending* of its lease. *order* is the time of its acceptance. The work knows what its
-- event counts for (*source* and *bytes*, where known) and its *digest*, so that its end need not look at the event.
local function lease_until(ending, member, token, claims, order, source, bytes, digest)
  local work = P .. 'work:' .. member
  redis.call('ZADD', P .. 'queue', ending, member)
  if digest then
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order, 'source', source, 'bytes', bytes,
      'digest', digest)
  elseif bytes then
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order, 'source', source, 'bytes', bytes)
  elseif source then
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order, 'source', source)
  else
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order)
  end
end

-- The first lease starts the history, not the accept script, which has to be fast.
local function begin_history(key, received, meta, claimed)
  local history, beginning = P .. 'history:' .. key, received .. ' received ' .. without_digest(meta)
  -- A conflict may have started it before.
  if redis.call('RPUSH', history, beginning, stamp .. ' ' .. claimed) > 2 then
    redis.call('LREM', history, -1, beginning)
  end
end

local function claimed_by(owner, handler)
  handler = handler and ',"handler":' .. cjson.encode(handler) or ''
  return 'claimed {"worker":' .. cjson.encode(owner) .. handler .. '}'
end
