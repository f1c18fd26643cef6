-- Take events in, each exactly once, and say for each whether it was new.
-- ARGV: prefix, then for every event: key, meta (JSON without newlines), body, raw ('' when it equals the body)
-- Answer: for every event 1 accepted, 0 duplicate, 2 duplicate whose body differs from the one in flight
-- An event goes straight to a worker that waits: it is leased to it here, and what it hears is token, key and stored event,
-- a line each. A second script call, and the fsync behind it, would cost it as much again as all the rest.
local answers, fresh, duplicates = {}, {}, 0
-- What a subscriber does not read in time is held in Redis' memory.
local MOST_BYTES_TOLD = 65536

-- Whether this event was leased to a worker that waits. If not, one of them may have been woken for it.
local function hand_out(event)
  local worker = idle_worker()
  while worker and worker.free > 0 and #event.stored <= MOST_BYTES_TOLD do
    -- Those of claims end with less than 1e9: no token of theirs is like this one.
    local token = string.format('%s:%s:%d', worker.owner, stamp, 1e9 + time[2] * 1000 + worker.free)
    if tell(worker, token .. '\n' .. event.key .. '\n' .. event.stored) then
      if worker.free > 1 then redis.call('ZINCRBY', P .. 'idle', -1, worker.entry) else no_longer_idle(worker) end
      lease_until(now + worker.lease, event.key, token, 1, event.order)
      begin_history(event.key, stamp, event.meta, claimed_by(worker.owner))
      return true
    end
    no_longer_idle(worker)
    worker = idle_worker()
  end
  if worker then wake() end
  return false
end

for i = 2, #ARGV, 4 do
  local key, meta, body, raw = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local known = redis.call('GET', P .. 'event:' .. key)
  if known or redis.call('EXISTS', P .. 'done:' .. key) == 1 then
    local same = not known or string.sub(known, -#body - 1) == '\n' .. body
    answers[#answers + 1] = same and 0 or 2
    duplicates = duplicates + 1
    -- To an existing list only: for a pending event the claim writes the first entries.
    if redis.call('EXISTS', P .. 'history:' .. key) == 1 then note(key, 'duplicate') end
  else
    -- A microsecond apart, so that the events of one batch start in the order in which they came. Queued first: if
    -- anything fails here, no event is known, and refused as a duplicate, that would never run.
    local order, stored = now + #fresh / 1000, stamp .. '\n' .. meta .. '\n' .. body
    redis.call('ZADD', P .. 'queue', order, key)
    redis.call('SET', P .. 'event:' .. key, stored)
    if raw ~= '' then redis.call('SET', P .. 'raw:' .. key, raw) end
    answers[#answers + 1] = 1
    fresh[#fresh + 1] = { key = key, meta = meta, stored = stored, order = order }
  end
end
if #fresh > 0 then
  redis.call('HINCRBY', P .. 'totals', 'accepted', #fresh)
  for _, event in ipairs(fresh) do
    if not hand_out(event) then break end
  end
end
if duplicates > 0 then redis.call('HINCRBY', P .. 'totals', 'duplicate', duplicates) end
return answers
