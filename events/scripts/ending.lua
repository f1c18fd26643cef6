-- Ends of work. The pending events and bytes of a source are one number: 2^40 for each event, plus its bytes.

-- Strangers choose account ids, so an id never becomes a key.
local function account_key(word, account) return P .. word .. ':' .. redis.sha1hex(account) end

local function read_note(detail)
  local readable, told = pcall(cjson.decode, detail or '')
  return readable and type(told) == 'table' and told or {}
end

-- The account that work with this note waits for, to be connected again.
local function account_of(detail)
  local told = read_note(detail)
  return told.why == 'needs_reauth' and type(told.account_id) == 'string' and told.account_id or nil
end

-- The events that end in this script, by source: taken off what is pending by settle().
local over = {}

local function settle()
  for source, share in pairs(over) do redis.call('HINCRBY', P .. 'usage', source .. '|pending', -share) end
end

-- A piece of work is over, whose event has this *origin* (false where an older version leased it). The event is over with its
-- last piece, and only then is its payload removed. Ends with settle().
local function close(member, dedup_ttl, history_ttl, origin)
  local key = key_of(member)
  local whole = member == key
  if not whole and redis.call('DECR', P .. 'open:' .. key) > 0 then
    redis.call('DEL', P .. 'work:' .. member, P .. 'steps:' .. member)
    return
  end
  local source, bytes, digest = read_origin(origin or '')
  redis.call('DEL', P .. 'work:' .. member, P .. 'steps:' .. member, P .. 'event:' .. key, P .. 'raw:' .. key)
  if not whole then redis.call('DEL', P .. 'open:' .. key) end
  if (bytes or MAX_INLINE_BYTES) >= MAX_INLINE_BYTES then redis.call('DEL', P .. 'body:' .. key) end
  -- A number stays of the event: it takes the fewest bytes in Redis.
  redis.call('SET', P .. 'done:' .. key, digest or 1, 'PX', dedup_ttl)
  redis.call('PEXPIRE', P .. 'history:' .. key, history_ttl)
  redis.call('ZADD', P .. 'recent', stamp, key)
  if source and bytes then over[source] = (over[source] or 0) + 2 ^ 40 + bytes end
end

local function forget_ended(history_ttl)
  redis.call('ZREMRANGEBYSCORE', P .. 'recent', '-inf', now - tonumber(history_ttl))
end
