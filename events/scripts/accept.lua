-- Take events in, each exactly once, and say for each whether it was new.
-- ARGV: prefix, then for every event: key, meta (JSON without newlines), body, raw ('' when it equals the body)
-- Answer: for every event 1 accepted, 0 duplicate, 2 duplicate whose body differs from the one in flight
local answers, accepted, duplicates = {}, 0, 0
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
    redis.call('ZADD', P .. 'queue', now + accepted / 1000, key)
    redis.call('SET', P .. 'event:' .. key, stamp .. '\n' .. meta .. '\n' .. body)
    if raw ~= '' then redis.call('SET', P .. 'raw:' .. key, raw) end
    answers[#answers + 1] = 1
    accepted = accepted + 1
  end
end
if accepted > 0 then
  redis.call('HINCRBY', P .. 'totals', 'accepted', accepted)
  wake()
end
if duplicates > 0 then redis.call('HINCRBY', P .. 'totals', 'duplicate', duplicates) end
return answers
