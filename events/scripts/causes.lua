-- Dead letters by cause: the fingerprint in the note of their work.
--   causes               sorted set of the causes by the number of their dead letters
--   cause:<cause>        sorted set of the members, by the time they were added
--   cause_names:<cause>  hash of how many of them have a handler ('h' and its name) or a type ('t' and its name)
-- What is beyond the bounds counts as others. Once there are others, everything new is one of them until they are gone, so
-- that a cause is never in two places.
local MAX_CAUSES, MAX_NAMES = 1000, 100
local OTHER_CAUSES = 'other-causes'

local function cause_of(told)
  return type(told.fingerprint) == 'string' and told.fingerprint ~= '' and told.fingerprint or 'none'
end

-- The names under which *member* counts in its cause.
local function names_of(member)
  local handler, kind = redis.call('HGET', P .. 'work:' .. member, 'handler'), type_of(key_of(member))
  local names = {}
  if handler then names[#names + 1] = 'h' .. handler end
  if kind ~= UNREADABLE then names[#names + 1] = 't' .. kind end
  return names
end

-- The field that counts *name*: its own, or that of others of its kind.
local function counted_as(names, name)
  if redis.call('HEXISTS', names, name) == 1 then return name end
  local others = string.sub(name, 1, 1)
  if redis.call('HEXISTS', names, others) == 1 or redis.call('HLEN', names) >= MAX_NAMES then return others end
  return name
end

local function place_of(cause)
  if redis.call('ZSCORE', P .. 'causes', cause) then return cause end
  if redis.call('ZSCORE', P .. 'causes', OTHER_CAUSES) then return OTHER_CAUSES end
  return redis.call('ZCARD', P .. 'causes') < MAX_CAUSES and cause or OTHER_CAUSES
end

-- *member* is a dead letter *since*, with the note *told*. A second call changes nothing.
local function add_to_cause(member, since, told)
  local cause = place_of(cause_of(told))
  if redis.call('ZADD', P .. 'cause:' .. cause, 'NX', since, member) == 0 then return end
  redis.call('ZINCRBY', P .. 'causes', 1, cause)
  local names = P .. 'cause_names:' .. cause
  for _, name in ipairs(names_of(member)) do redis.call('HINCRBY', names, counted_as(names, name), 1) end
end

-- *member*, with the note *told*, is no dead letter any more. Its work and its event are still stored.
local function take_from_cause(member, told)
  local cause = cause_of(told)
  if redis.call('ZREM', P .. 'cause:' .. cause, member) == 0 then
    if redis.call('ZREM', P .. 'cause:' .. OTHER_CAUSES, member) == 0 then return end
    cause = OTHER_CAUSES
  end
  local names = P .. 'cause_names:' .. cause
  if tonumber(redis.call('ZINCRBY', P .. 'causes', -1, cause)) < 1 then
    redis.call('ZREM', P .. 'causes', cause)
    redis.call('DEL', names)
    return
  end
  for _, name in ipairs(names_of(member)) do
    local field = counted_as(names, name)
    if redis.call('HINCRBY', names, field, -1) < 1 then redis.call('HDEL', names, field) end
  end
end
