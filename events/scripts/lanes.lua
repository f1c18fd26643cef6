-- Lanes: the pieces of one handler that have the same key, and which of them may run.
--
-- `lane:<lane>`     limits as the last worker gave them; `pending`, the piece that is to start at a set time; `latest`, the
--                   piece that waits for its window to pass
-- `holding:<lane>`  pieces that have a slot. They are in the queue, all of them, so a piece whose worker was killed comes
--                   back by its lease and still has its slot: a slot needs no lease of its own, and cannot be orphaned.
-- `waiting:<lane>`  pieces out of the queue, by acceptance. They wait for one that holds a slot, or is pending, to end or
--                   start, or for the lane to be no longer blocked: every script that brings this about moves them on.
-- `starts:<lane>`   when the last pieces started, as many as the rate allows in its period
-- `held`            all pieces that wait in lanes, by the time at which they were held
-- `unrouted`        pieces that were claimed for an ordered handler but have no lane yet, by acceptance
-- `blocked`         ordered lanes whose first piece must not start yet, by its acceptance: an older one is unrouted

-- Whether a piece accepted before *order* may still turn up in any ordered lane.
local function older_is_unrouted(order)
  while true do
    local first = redis.call('ZRANGE', P .. 'unrouted', 0, 0, 'WITHSCORES')
    if not first[1] then return false end
    if redis.call('ZSCORE', P .. 'queue', first[1]) then return tonumber(first[2]) < order end
    redis.call('ZREM', P .. 'unrouted', first[1])
  end
end

-- When a lane with a rate may start the next piece.
local function next_start(lane, count, period)
  local starts = P .. 'starts:' .. lane
  if redis.call('LLEN', starts) < count then return now end
  return math.max(now, tonumber(redis.call('LINDEX', starts, -count)) + period)
end

-- Give free slots to waiting pieces. Never more than the limit, so this never walks over all of them.
local function advance(lane)
  local waiting, holding = P .. 'waiting:' .. lane, P .. 'holding:' .. lane
  local limits = redis.call('HMGET', P .. 'lane:' .. lane, 'limit', 'ordered', 'count', 'period', 'pending')
  local limit, count = tonumber(limits[1]) or 0, tonumber(limits[3]) or 0
  local pending = limits[5]
  while true do
    local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
    local member, order = first[1], tonumber(first[2])
    if not member or pending then return end
    if limit > 0 and redis.call('SCARD', holding) >= limit then return end
    if limits[2] == '1' and older_is_unrouted(order) then
      redis.call('ZADD', P .. 'blocked', order, lane)
      return
    end
    local due = now
    if count > 0 then
      due, pending = next_start(lane, count, tonumber(limits[4])), member
      redis.call('HSET', P .. 'lane:' .. lane, 'pending', member)
    end
    redis.call('ZREM', waiting, member)
    redis.call('ZREM', P .. 'held', member)
    redis.call('SADD', holding, member)
    redis.call('ZADD', P .. 'queue', due, member)
    wake()
  end
end

-- *member* leaves its lane, and the pieces behind it move on.
local function leave(member, lane)
  local state = P .. 'lane:' .. lane
  redis.call('SREM', P .. 'holding:' .. lane, member)
  redis.call('HDEL', P .. 'work:' .. member, 'lane')
  local names = redis.call('HMGET', state, 'pending', 'latest')
  if names[1] == member then redis.call('HDEL', state, 'pending') end
  if names[2] == member then redis.call('HDEL', state, 'latest', 'latest_id', 'latest_order') end
  advance(lane)
  if (not names[2] or names[2] == member)
    and redis.call('EXISTS', P .. 'holding:' .. lane, P .. 'waiting:' .. lane) == 0 then
    redis.call('DEL', state)
  end
end

-- An unrouted piece has found its lane, or has ended: lanes that waited for it continue.
local function routed(member)
  redis.call('ZREM', P .. 'unrouted', member)
  redis.call('HDEL', P .. 'work:' .. member, 'unrouted')
end

local function unblock()
  older_is_unrouted(0) -- drops entries that have left the queue
  local first = redis.call('ZRANGE', P .. 'unrouted', 0, 0, 'WITHSCORES')
  local lanes = redis.call('ZRANGEBYSCORE', P .. 'blocked', '-inf', first[2] or '+inf')
  for i = 1, #lanes do
    redis.call('ZREM', P .. 'blocked', lanes[i])
    advance(lanes[i])
  end
end
