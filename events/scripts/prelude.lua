-- What every script begins with. ARGV[1] is the prefix of all keys; Redis' own TIME is the only clock, so the clocks
-- of the machines that run ingress and workers do not matter.
local P = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000 -- ms, with the microseconds behind the point: they keep the order
local stamp = string.format('%.0f', math.floor(now))

-- The idle worker with the most free slots; nil if none is idle.
local function idle_worker()
  local idle = redis.call('ZREVRANGE', P .. 'idle', 0, 0, 'WITHSCORES')
  if not idle[1] then return nil end
  local owner, lease = string.match(idle[1], '^(.*) (%d+)$')
  return { entry = idle[1], owner = owner, lease = tonumber(lease), free = tonumber(idle[2]) }
end

local function no_longer_idle(worker) redis.call('ZREM', P .. 'idle', worker.entry) end

-- Publish *message* to a worker; false if it is gone, or publishing is forbidden. Workers also claim once a second.
local function tell(worker, message)
  local heard = redis.pcall('PUBLISH', P .. 'worker:' .. worker.owner, message)
  return type(heard) == 'number' and heard > 0
end

-- Tell one idle worker that there is work; its claim wakes the next one if work is left.
local function wake()
  local worker = idle_worker()
  while worker do
    no_longer_idle(worker)
    if tell(worker, '') then return end
    worker = idle_worker()
  end
end

-- The body of a larger event has a key of its own.
local MAX_INLINE_BYTES = 65536

-- Source, bytes and digest in the origin of an event: the beginning of its meta. An older version wrote no digest, or none of
-- the last two.
local function read_origin(origin)
  local source, bytes, digest = string.match(origin, '^{"source":"([^"\\]*)","bytes":(%d+),"digest":(%d+),')
  if source then return source, tonumber(bytes), digest end
  source, bytes = string.match(origin, '^{"source":"([^"\\]*)","bytes":(%d+),')
  return source or string.match(origin, '^{"source":"([^"\\]*)"'), tonumber(bytes)
end

local function key_of(member)
  local bar = string.find(member, '|', 1, true)
  return bar and string.sub(member, 1, bar - 1) or member
end

-- A sender that repeats one event endlessly must not fill the memory with its history: a full history replaces its last
-- entry, so that beginning and end are kept.
local MAX_ENTRIES = 500
local function note(key, entry)
  local history = P .. 'history:' .. key
  if redis.call('RPUSH', history, stamp .. ' ' .. entry) > MAX_ENTRIES then
    redis.call('RPOP', history)
    redis.call('LSET', history, -1, stamp .. ' ' .. entry)
  end
end

-- At its memory limit Redis refuses a script whose first write may use more memory. A DEL first lets the script run:
-- the scripts of workers have to, because they free memory.
local function even_when_full() redis.call('DEL', P .. 'full') end
