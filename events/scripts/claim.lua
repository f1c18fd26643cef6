-- Lease due work: its score becomes now + lease, so an unfinished claim is due again by itself.
-- ARGV: prefix, most, lease in ms, owner, suspect (work with exactly so many unfinished claims is leased alone, and counts
--   none until it begins; -1 for never), whether such work is wanted now (1 or 0), how many the owner has free slots for,
--   bytes of large bodies that it holds, the most that it may hold (a larger body comes when it holds none),
--   then for every pattern of an ordered handler: handler, source ('' for any), pattern
-- Answer: { ms until the next work is due, rounded up, or -1, this moment in ms, then for every lease: member, token, stored
--   event (false when missing; { its head, bytes } with a large body), handler (false when none was chosen yet), attempts used
--   up, claims that were never finished, lane whose slot it has (false when none) }
local most, lease, owner = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local suspect, wants_suspect = tonumber(ARGV[5]), ARGV[6] == '1'
local held, max_held = tonumber(ARGV[8]), tonumber(ARGV[9])
local queue = P .. 'queue'
-- The limit of work that is skipped at the head of the queue: unwanted suspects, and large events without room.
local MAX_SKIPPED = 100
even_when_full()
redis.call('ZADD', P .. 'workers', now, owner)
local members = redis.call('ZRANGEBYSCORE', queue, '-inf', now, 'WITHSCORES', 'LIMIT', 0,
  wants_suspect and held == 0 and most or most + MAX_SKIPPED)
local claimed_new = claimed_by(owner)
local ending = string.format('%.0f', math.floor(now + lease)) -- a number would be formatted anew for each lease
local answer, leased, alone, crowded = { -1, math.floor(now) }, 0, false, false

-- Whether an ordered handler may match this piece. Until it is decided, no later piece may start in an ordered lane.
local function may_be_ordered(handler, meta)
  local readable, event = pcall(cjson.decode, meta)
  local kind = readable and type(event) == 'table' and type(event.type) == 'string' and event.type
  for i = 10, #ARGV, 3 do
    if handler then
      if ARGV[i] == handler then return true end
    elseif kind and (ARGV[i + 1] == '' or ARGV[i + 1] == event.source) then
      local stem = string.match(ARGV[i + 2], '^(.*)%*$')
      if stem and string.sub(kind, 1, #stem) == stem or ARGV[i + 2] == kind then return true end
    end
  end
  return false
end

-- Whether there is room for a large body. If not, later large bodies wait too, or this one would never have its turn.
local function fits(bytes)
  if bytes == 0 then return true end
  crowded = crowded or held > 0 and held + bytes > max_held
  return not crowded
end

-- The stored event (only its head if its body is large), its time and meta, and the size of a large body. An event that an
-- earlier version stored with a large body is read only if there is room for it.
local function look_at(key)
  local length = held > 0 and redis.call('STRLEN', P .. 'event:' .. key) or 0
  if length > 2 * MAX_INLINE_BYTES and not fits(length) then return nil end
  local stored = redis.call('GET', P .. 'event:' .. key)
  local line = stored and string.find(stored, '\n', 1, true)
  local head = line and string.find(stored, '\n', line + 1, true)
  if not head then return stored, nil, '', 0 end
  local received, meta, bytes = string.sub(stored, 1, line - 1), string.sub(stored, line + 1, head - 1), 0
  if #stored == head then
    bytes = redis.call('STRLEN', P .. 'body:' .. key) + redis.call('STRLEN', P .. 'raw:' .. key)
  elseif #stored > MAX_INLINE_BYTES + #meta then
    bytes = #stored
    stored = string.sub(stored, 1, head)
  end
  return stored, received, meta, bytes
end

-- Whether it was leased: it is left when there is no room for its body.
local function take(member, score, state, claims, counted)
  local key = key_of(member)
  local work = P .. 'work:' .. member
  local stored, received, meta, bytes = look_at(key)
  if stored == nil or not fits(bytes) then return false end
  held = held + bytes
  leased = leased + 1
  -- An owner may claim twice within a millisecond, but within no microsecond.
  local token = string.format('%s:%s:%d', owner, stamp, time[2] * 1000 + leased)
  local order = state[5] or score -- at the first claim, the time of its acceptance
  local origin, shown = split_meta(meta)
  lease_until(ending, member, token, claims + counted, order, origin)
  if not state[4] and #ARGV > 9 and may_be_ordered(state[1], meta) then
    redis.call('HSET', work, 'unrouted', 1)
    redis.call('ZADD', P .. 'unrouted', order, member)
  end
  local claimed = state[1] and claimed_by(owner, state[1]) or claimed_new
  if received and not state[5] then
    begin_history(key, received, shown, claimed)
  else
    note(key, claimed)
  end
  local row = 7 * leased - 4
  answer[row] = member
  answer[row + 1] = token
  answer[row + 2] = bytes > 0 and { stored, bytes } or stored
  answer[row + 3] = state[1]
  answer[row + 4] = tonumber(state[2]) or 0
  answer[row + 5] = claims
  answer[row + 6] = state[4]
  return true
end

for i = 1, #members, 2 do
  local member, score = members[i], members[i + 1]
  local state = redis.call('HMGET', P .. 'work:' .. member, 'handler', 'attempts', 'claims', 'lane', 'order')
  local claims = tonumber(state[3]) or 0
  if claims ~= suspect then
    take(member, score, state, claims, 1)
    if leased == most then break end
  elseif wants_suspect then
    -- Alone in its answer: behind other work it stays due, and comes with the next claim.
    alone = leased == 0 and take(member, score, state, claims, 0)
    if alone or leased > 0 then break end
  end
  -- What is left has no place in its ordered lane yet, so nothing may pass it.
  if crowded and #ARGV > 9 then break end
end
-- A worker that got less than its free slots becomes idle, and new events are pushed to the one with the most free slots.
-- With ordered handlers, every lease needs a claim: such workers are only woken.
local idle, free = owner .. ' ' .. ARGV[3], tonumber(ARGV[7])
if leased < free and not alone then
  redis.call('ZADD', P .. 'idle', #ARGV > 9 and 0 or free - leased, idle)
else
  redis.call('ZREM', P .. 'idle', idle)
end
local first = redis.call('ZRANGE', queue, 0, 0, 'WITHSCORES')
if first[2] then
  answer[1] = math.max(0, math.ceil(tonumber(first[2]) - now))
  if leased > 0 and answer[1] == 0 then wake() end
  if crowded then answer[1] = -1 end -- it is due, but not for this owner before it has room
end
return answer
