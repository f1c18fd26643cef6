-- What every script begins with. ARGV[1] is the prefix of all keys; Redis' own TIME is the only clock, so the clocks
-- of the machines that run ingress and workers do not matter.
local P = ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000 -- ms, with the microseconds behind the point: they keep the order
local stamp = string.format('%.0f', math.floor(now))

-- Of the workers that wait, the one with the most slots free; nil when nobody waits.
local function idle_worker()
  local idle = redis.call('ZREVRANGE', P .. 'idle', 0, 0, 'WITHSCORES')
  if not idle[1] then return nil end
  local owner, lease = string.match(idle[1], '^(.*) (%d+)$')
  return { entry = idle[1], owner = owner, lease = tonumber(lease), free = tonumber(idle[2]) }
end

local function no_longer_idle(worker) redis.call('ZREM', P .. 'idle', worker.entry) end

-- Whether it hears *message*. It does not when it has gone away, nor where publishing is forbidden: workers also look.
local function tell(worker, message)
  local heard = redis.pcall('PUBLISH', P .. 'worker:' .. worker.owner, message)
  return type(heard) == 'number' and heard > 0
end

-- One worker is told that there is work; it tells the next one when it leaves some behind.
local function wake()
  local worker = idle_worker()
  while worker do
    no_longer_idle(worker)
    if tell(worker, '') then return end
    worker = idle_worker()
  end
end

local function key_of(member) return string.match(member, '^[^|]+') end

-- A sender that repeats one event for ever must not fill the memory with the story of it: once it is full, each
-- entry takes the place of the last one, so that the beginning and the end are always told.
local MAX_ENTRIES = 500
local function note(key, entry)
  local history = P .. 'history:' .. key
  if redis.call('RPUSH', history, stamp .. ' ' .. entry) > MAX_ENTRIES then
    redis.call('RPOP', history)
    redis.call('LSET', history, -1, stamp .. ' ' .. entry)
  end
end

-- Redis at its memory limit refuses a script at the first command that may use more memory, but no longer once it has
-- written. What workers do has to go on then, or the memory would never be freed again.
local function even_when_full() redis.call('DEL', P .. 'full') end

-- The checksum of type and body in the meta of an event, to which what comes again is held; nil for older versions' events.
local function digest_of(meta) return string.match(meta, '^{"source":"[^"\\]*","bytes":%d+,"digest":(%d+),') end
local function without_digest(meta)
  return (string.gsub(meta, '^({"source":"[^"\\]*","bytes":%d+,)"digest":%d+,', '%1'))
end
