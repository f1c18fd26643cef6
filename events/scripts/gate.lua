-- Decide whether leased pieces may run now, when their handler and key are known. One that may not is held: its lease
-- ends, uses up no attempt and counts no crash.
-- ARGV: prefix, dedup ttl in ms, history ttl in ms, then for every piece: member, token, event id, handler, lane ('' when
--   its event has no key), most at once (0: any number), ordered (1 or 0), most starts per period (0: any number), period
--   in ms, window in ms of which only the latest piece runs (0: every piece runs)
-- Answer: for every piece 1 run it, 0 held, over or lost: do not run it
local dedup_ttl, history_ttl = ARGV[2], ARGV[3]
local queue = P .. 'queue'
local superseded = 0

local function end_lease(member)
  redis.call('HDEL', P .. 'work:' .. member, 'token')
  redis.call('HINCRBY', P .. 'work:' .. member, 'claims', -1)
end

local function put_off(piece, due)
  end_lease(piece.member)
  redis.call('ZADD', queue, due, piece.member)
  wake()
end

local function supersede(member, handler, id)
  superseded = superseded + 1
  redis.call('ZREM', queue, member)
  note(key_of(member),
    'discarded {"handler":' .. cjson.encode(handler) .. ',"why":' .. cjson.encode('superseded by ' .. id) .. '}')
  close(member, dedup_ttl, history_ttl, redis.call('HGET', P .. 'work:' .. member, 'origin'))
end

-- Whether the window of this piece has passed; else it waits for that in the queue, or is over.
local function is_settled(piece)
  local state = P .. 'lane:' .. piece.lane
  local latest = redis.call('HMGET', state, 'latest', 'latest_id', 'latest_order', 'latest_due')
  local due = tonumber(latest[4])
  if latest[1] ~= piece.member then
    if latest[1] and tonumber(latest[3]) > piece.order then
      supersede(piece.member, piece.handler, latest[2])
      return false
    end
    if latest[1] then supersede(latest[1], piece.handler, piece.id) end
    -- From now, not from its acceptance: even of a backlog only the latest runs.
    due = now + piece.window
    redis.call('HSET', state, 'latest', piece.member, 'latest_id', piece.id, 'latest_order', piece.order_text, 'latest_due', due)
    note(key_of(piece.member), 'held {"handler":' .. cjson.encode(piece.handler) .. ',"why":"debounce"}')
  end
  if now < due then
    put_off(piece, due)
    return false
  end
  redis.call('HDEL', state, 'latest', 'latest_id', 'latest_order', 'latest_due')
  redis.call('HSET', P .. 'work:' .. piece.member, 'settled', 1)
  return true
end

local function start(piece)
  if piece.count == 0 then return end
  local starts = P .. 'starts:' .. piece.lane
  redis.call('RPUSH', starts, now)
  redis.call('LTRIM', starts, -piece.count, -1)
  redis.call('PEXPIRE', starts, math.ceil(piece.period))
end

-- Whether a piece that has a slot may start; else it waits in the queue for the rate, and keeps its slot.
local function may_start(piece)
  local due = piece.count > 0 and next_start(piece.lane, piece.count, piece.period) or now
  if due > now then
    put_off(piece, due)
    return false
  end
  start(piece)
  if redis.call('HGET', P .. 'lane:' .. piece.lane, 'pending') == piece.member then
    redis.call('HDEL', P .. 'lane:' .. piece.lane, 'pending')
    advance(piece.lane)
  end
  return true
end

-- Whether there is a slot for a piece that has none, with nobody before it.
local function is_free(piece)
  local first = redis.call('ZRANGE', P .. 'waiting:' .. piece.lane, 0, 0, 'WITHSCORES')
  if first[2] and tonumber(first[2]) < piece.order then return false end
  if piece.limit > 0 and redis.call('SCARD', P .. 'holding:' .. piece.lane) >= piece.limit then return false end
  if piece.ordered and older_is_unrouted(piece.order) then return false end
  if piece.count == 0 then return true end
  return not redis.call('HGET', P .. 'lane:' .. piece.lane, 'pending')
    and next_start(piece.lane, piece.count, piece.period) <= now
end

local function put_aside(piece)
  end_lease(piece.member)
  redis.call('ZREM', queue, piece.member)
  redis.call('ZADD', P .. 'waiting:' .. piece.lane, piece.order_text, piece.member)
  redis.call('ZADD', P .. 'held', now, piece.member)
  note(key_of(piece.member), 'held {"handler":' .. cjson.encode(piece.handler) .. ',"why":"its key is busy"}')
  advance(piece.lane)
end

local function may_run(piece)
  redis.call('HSET', P .. 'work:' .. piece.member, 'handler', piece.handler, 'lane', piece.lane)
  redis.call('HSET', P .. 'lane:' .. piece.lane, 'limit', piece.limit, 'ordered', piece.ordered and 1 or 0,
    'count', piece.count, 'period', piece.period)
  if piece.window > 0 and not piece.settled and not is_settled(piece) then return false end
  if redis.call('SISMEMBER', P .. 'holding:' .. piece.lane, piece.member) == 1 then return may_start(piece) end
  if not is_free(piece) then
    put_aside(piece)
    return false
  end
  redis.call('SADD', P .. 'holding:' .. piece.lane, piece.member)
  start(piece)
  return true
end

local answers = {}
even_when_full()
for i = 4, #ARGV, 10 do
  local member, token, lane = ARGV[i], ARGV[i + 1], ARGV[i + 4]
  local state = redis.call('HMGET', P .. 'work:' .. member, 'token', 'order', 'lane', 'settled', 'unrouted')
  local answer = false
  if state[1] == token then
    local piece = {
      member = member, id = ARGV[i + 2], handler = ARGV[i + 3], lane = lane, limit = tonumber(ARGV[i + 5]),
      ordered = ARGV[i + 6] == '1', count = tonumber(ARGV[i + 7]), period = tonumber(ARGV[i + 8]),
      window = tonumber(ARGV[i + 9]), order = tonumber(state[2] or stamp), order_text = state[2] or stamp, settled = state[4],
    }
    if state[5] then routed(member) end
    -- Another version of the code used another key or handler.
    if state[3] and state[3] ~= lane then leave(member, state[3]) end
    answer = lane == '' or may_run(piece)
    if state[5] then unblock() end
  end
  answers[#answers + 1] = answer and 1 or 0
end
settle()
if superseded > 0 then redis.call('HINCRBY', P .. 'totals', 'discarded', superseded) end
return answers
