-- How work is leased, by a claim or in the moment of its acceptance.

-- The score of *member* moves to the *ending* of its lease. *order* is the time of its acceptance.
local function lease_until(ending, member, token, claims, order)
  redis.call('ZADD', P .. 'queue', ending, member)
  redis.call('HSET', P .. 'work:' .. member, 'token', token, 'claims', claims, 'order', order)
end

-- The first lease begins the history, not the accept: that has to be quick.
local function begin_history(key, received, meta, claimed)
  redis.call('RPUSH', P .. 'history:' .. key, received .. ' received ' .. meta, stamp .. ' ' .. claimed)
end

local function claimed_by(owner, handler)
  handler = handler and ',"handler":' .. cjson.encode(handler) or ''
  return 'claimed {"worker":' .. cjson.encode(owner) .. handler .. '}'
end
