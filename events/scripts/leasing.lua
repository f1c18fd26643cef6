-- Leasing of work, by a claim or when it is accepted.

-- What the meta of an event says of its source, its bytes and its digest (nil where an older version wrote it), and the meta
-- without the digest, as histories have it. Read once for each event: the pattern has to go through all of it.
local function read_meta(meta)
  local head, source, bytes, digest, rest =
    string.match(meta, '^({"source":"([^"\\]*)","bytes":(%d+),)"digest":(%d+),(.*)$')
  if head then return source, tonumber(bytes), digest, head .. rest end
  source, bytes = string.match(meta, '^{"source":"([^"\\]*)","bytes":(%d+),')
  if source then return source, tonumber(bytes), nil, meta end
  return string.match(meta, '^{"source":"([^"\\]*)"'), nil, nil, meta
end

-- The score of *member* moves to the *ending* of its lease. *order* is the time of its acceptance. The work knows what its
-- event counts for (*source* and *bytes*, where known) and its *digest*, so that its end need not look at the event.
local function lease_until(ending, member, token, claims, order, source, bytes, digest)
  local work = P .. 'work:' .. member
  redis.call('ZADD', P .. 'queue', ending, member)
  if digest then
    redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order, 'source', source, 'bytes', bytes,
      'digest', digest)
    return
  end
  redis.call('HSET', work, 'token', token, 'claims', claims, 'order', order)
  if source then redis.call('HSET', work, 'source', source) end
  if bytes then redis.call('HSET', work, 'bytes', bytes) end
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
