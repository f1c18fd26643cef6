-- Work that is parked because no handler matches its type, indexed by source. Only such work is ever dropped: work that
-- waits for an account, or for a handler of another version, stays until someone acts.
--   unhandled           the sources that have such work, or had it
--   unhandled:<source>  sorted set of the members by the time they were parked
--   let_go              hash of what was dropped, by source and type: count, first and last time (JSON)

local MAX_TYPES_COUNTED = 1000

local function park_unhandled(member, source, bytes, at)
  if redis.call('ZADD', P .. 'unhandled:' .. source, 'NX', at, member) == 0 then return end
  redis.call('SADD', P .. 'unhandled', source)
  redis.call('HINCRBY', P .. 'usage', source .. '|unhandled', bytes or 0)
end

-- *member* has left the parked work; *source* and *bytes* are those of its work.
local function no_longer_unhandled(member, source, bytes)
  if source and redis.call('ZREM', P .. 'unhandled:' .. source, member) == 1 then
    redis.call('HINCRBY', P .. 'usage', source .. '|unhandled', -(bytes or 0))
  end
end

local UNREADABLE = 'unreadable'

local function type_of(key)
  local meta = string.match(redis.call('GETRANGE', P .. 'event:' .. key, 0, 16384), '^%d+\n([^\n]*)\n')
  local plain = meta and string.match(meta, '^{"source":"[^"\\]*",.-"type":"([^"\\]*)"')
  if plain then return plain end
  local told = read_note(meta)
  return type(told.type) == 'string' and told.type or UNREADABLE
end

local function tell_let_go(source, kind)
  local field = source .. '/' .. kind
  local known = redis.call('HGET', P .. 'let_go', field)
  if not known and redis.call('HLEN', P .. 'let_go') >= MAX_TYPES_COUNTED then
    field = source .. '/other types'
    known = redis.call('HGET', P .. 'let_go', field)
  end
  local told = known and cjson.decode(known) or { count = 0, first = math.floor(now) }
  told.count, told.last = told.count + 1, math.floor(now)
  redis.call('HSET', P .. 'let_go', field, cjson.encode(told))
  redis.call('HINCRBY', P .. 'usage', source .. '|let_go', 1)
  redis.call('HINCRBY', P .. 'totals', 'let_go', 1)
end

local function let_go(member, source, why, dedup_ttl, history_ttl)
  local origin = redis.call('HGET', P .. 'work:' .. member, 'origin')
  no_longer_unhandled(member, source, (select(2, read_origin(origin or ''))))
  if redis.call('ZREM', P .. 'parked', member) == 0 then return end
  tell_let_go(source, type_of(key_of(member)))
  note(key_of(member), 'let_go {"why":"' .. why .. '"}')
  close(member, dedup_ttl, history_ttl, origin)
end

-- Drop the oldest parked work of *source*, at most *most* pieces, until no more than *events* and *bytes* are left, and
-- none from before *since*. Ends with settle().
local function bound_unhandled(source, events, bytes, since, most, dedup_ttl, history_ttl)
  local parked = P .. 'unhandled:' .. source
  local held = redis.call('ZCARD', parked)
  for gone = 0, most - 1 do
    local oldest = redis.call('ZRANGE', parked, 0, 0, 'WITHSCORES')
    if not oldest[1] then return gone end
    local why = held > events and 'PARKED_MAX' or tonumber(oldest[2]) < since and 'PARKED_TTL'
    if not why and tonumber(redis.call('HGET', P .. 'usage', source .. '|unhandled') or 0) > bytes then
      why = 'PARKED_MAX_BYTES'
    end
    if not why then return gone end
    let_go(oldest[1], source, why, dedup_ttl, history_ttl)
    held = held - 1
  end
  return most
end
