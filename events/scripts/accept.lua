-- Accept events, each exactly once, and return for each whether it was new.
-- ARGV: prefix, how long in ms events can be found again (0: not at all), number of sources with limits, then for each of
--   them: source, most events, bytes and parked events (0: any number), then for every event: key (a space and its key
--   without the type, where that differs), meta (JSON without newlines), body, raw ('' when it equals the body), its mark in
--   the journal. The body of a large event is '', its raw the name of an offer: body and raw were written under that name
--   before, and are taken over here by renaming, since each copy through this script would cost as much as writing them
-- Answer: for every event 1 accepted, 0 duplicate, 2 duplicate whose type or body differs from that of the first, 3 not
--   taken: its source has as much here as it may
-- An event is pushed to an idle worker: it is leased here, and the message is token, key and stored event, one line each.
-- A claim, with its fsync, would cost as much again as all the rest.
local answers, fresh, marks, duplicates, conflicts = {}, {}, {}, 0, 0
-- Redis buffers unread messages in memory.
local MAX_PUSHED_BYTES = 65536

-- Whether this event was leased to an idle worker. If not, one may have been woken for it.
local function hand_out(event)
  local worker = idle_worker()
  while worker and worker.free > 0 and not event.is_large and #event.stored <= MAX_PUSHED_BYTES do
    -- Tokens of claims end with less than 1e9, so they never equal this one.
    local token = string.format('%s:%s:%d', worker.owner, stamp, 1e9 + time[2] * 1000 + worker.free)
    if tell(worker, token .. '\n' .. event.key .. '\n' .. event.stored) then
      if worker.free > 1 then redis.call('ZINCRBY', P .. 'idle', -1, worker.entry) else no_longer_idle(worker) end
      local origin, shown = split_meta(event.meta)
      lease_until(now + worker.lease, event.key, token, 1, event.order, origin)
      begin_history(event.key, stamp, shown, claimed_by(worker.owner))
      return true
    end
    no_longer_idle(worker)
    worker = idle_worker()
  end
  if worker then wake() end
  return false
end

-- Compared piece by piece: two large bodies at once would double this script's memory.
local BYTES_COMPARED = 65536
local function are_equal(one, other)
  local length = redis.call('STRLEN', one)
  if length ~= redis.call('STRLEN', other) then return false end
  for start = 0, length - 1, BYTES_COMPARED do
    local last = start + BYTES_COMPARED - 1
    if redis.call('GETRANGE', one, start, last) ~= redis.call('GETRANGE', other, start, last) then return false end
  end
  return true
end

local function offered(name) return P .. 'offered:' .. name end

local function has_same_body(key, known, body, raw)
  if body ~= '' then return string.sub(known, -#body - 1) == '\n' .. body end
  if string.find(known, '^%d+\n[^\n]*\n$') then return are_equal(P .. 'body:' .. key, offered(raw)) end
  -- An earlier version kept bodies of any size behind the head.
  local length = redis.call('STRLEN', offered(raw))
  return #known > length and string.sub(known, -length - 1) == '\n' .. redis.call('GET', offered(raw))
end

-- What was written for an offer expires unless it is taken over.
local function take_over(name, key)
  redis.call('RENAME', name, key)
  redis.call('PERSIST', key)
end

-- Whether an event is what came first under its key. What an older version has kept says less: the benefit is its.
local function is_same(event, known, over)
  if over then return over == '1' or over == (event.digest or '1') end
  local _, _, first = read_origin(string.match(known, '\n([^\n]*)') or '')
  return (first or event.digest) == event.digest and has_same_body(event.key, known, event.body, event.raw)
end

-- Without the headers, so that repeated deliveries do not fill the history.
local function without_headers(meta) return (string.gsub(meta, ',"headers":{.*$', '}')) end

-- Recorded even before the first claim starts the history.
local function note_conflict(key, known, meta)
  local history = P .. 'history:' .. key
  if redis.call('EXISTS', history) == 0 then
    if not known then return end
    local received, first = string.match(known, '^(%d+)\n([^\n]*)\n')
    if received then redis.call('RPUSH', history, received .. ' received ' .. select(2, split_meta(first))) end
  end
  note(key, 'conflict ' .. without_headers(meta))
end

local KEY_LENGTH = 32
local function type_in(meta) return string.match(meta or '', '^[^{]*{"source":"[^"\\]*",.-"type":("[^"\\]*")') end

-- The key of an event: the untyped one where an older version has accepted it, with this type, under that.
local function known_as(keys, meta)
  if #keys == KEY_LENGTH then return keys end
  local key, untyped = string.sub(keys, 1, KEY_LENGTH), string.sub(keys, KEY_LENGTH + 2)
  if redis.call('EXISTS', P .. 'event:' .. untyped, P .. 'done:' .. untyped) == 0 then return key end
  local first = redis.call('LINDEX', P .. 'history:' .. untyped, 0)
    or string.match(redis.call('GETRANGE', P .. 'event:' .. untyped, 0, 16384), '^%d+\n([^\n]*)')
  local kind = type_in(meta)
  return kind and kind == type_in(first) and untyped or key
end

-- One list for each hour, in which all marks of a batch are one element: each begins with its ms within the hour.
local HOUR = 3600
local function write_journal(marks)
  local journal = P .. 'journal:' .. math.floor(time[1] / HOUR)
  local ms = time[1] % HOUR * 1000 + math.floor(time[2] / 1000)
  local moment = string.char(math.floor(ms / 65536), math.floor(ms / 256) % 256, ms % 256)
  if redis.call('RPUSH', journal, moment .. table.concat(marks, moment)) == 1 then
    redis.call('PEXPIRE', journal, ARGV[2] + HOUR * 1000)
  end
end

-- Events and their bytes are one number, so that one command counts both. Limits are looked at once for the whole batch, so
-- that a delivery is taken whole or not at all.
local EVENT = 1099511627776 -- 2^40
local full, taken, first = {}, {}, 4 + 4 * ARGV[3]
for i = 4, first - 1, 4 do
  local source, events, bytes, parked = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2]), tonumber(ARGV[i + 3])
  local used = tonumber(redis.call('HGET', P .. 'usage', source .. '|pending') or 0)
  full[source] = events > 0 and used >= events * EVENT or bytes > 0 and used % EVENT >= bytes
    or parked > 0 and redis.call('ZCARD', P .. 'unhandled:' .. source) >= parked
end

-- Check before the first write: all of the events are accepted, or none.
for i = first, #ARGV, 5 do
  if ARGV[i + 2] == '' and redis.call('EXISTS', offered(ARGV[i + 3])) == 0 then
    return redis.error_reply('OFFERGONE a large body expired before its event was accepted')
  end
end

for i = first, #ARGV, 5 do
  local key, meta, body, raw = known_as(ARGV[i], ARGV[i + 1]), ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local is_large = body == ''
  local source, bytes, digest = read_origin(meta)
  if redis.call('EXISTS', P .. 'event:' .. key, P .. 'done:' .. key) > 0 then
    local known = redis.call('GET', P .. 'event:' .. key)
    local over = not known and redis.call('GET', P .. 'done:' .. key)
    if is_same({ key = key, digest = digest, body = body, raw = raw }, known, over) then
      answers[#answers + 1] = 0
      duplicates = duplicates + 1
      -- To an existing list only: for a pending event the claim writes the first entries.
      if redis.call('EXISTS', P .. 'history:' .. key) == 1 then note(key, 'duplicate') end
    else
      answers[#answers + 1] = 2
      conflicts = conflicts + 1
      note_conflict(key, known, meta)
    end
    if is_large then redis.call('UNLINK', offered(raw), offered(raw .. ':raw')) end
  elseif full[source] then
    answers[#answers + 1] = 3
    if is_large then redis.call('UNLINK', offered(raw), offered(raw .. ':raw')) end
  else
    -- A microsecond apart, so that the events of one batch start in the order in which they came. Queued first: if
    -- anything fails here, no event is known, and refused as a duplicate, that would never run.
    local order, stored = now + #fresh / 1000, stamp .. '\n' .. meta .. '\n' .. body
    redis.call('ZADD', P .. 'queue', order, key)
    if is_large then
      take_over(offered(raw), P .. 'body:' .. key)
      if redis.call('EXISTS', offered(raw .. ':raw')) == 1 then take_over(offered(raw .. ':raw'), P .. 'raw:' .. key) end
    elseif raw ~= '' then
      redis.call('SET', P .. 'raw:' .. key, raw)
    end
    redis.call('SET', P .. 'event:' .. key, stored)
    answers[#answers + 1] = 1
    marks[#marks + 1] = ARGV[i + 4]
    fresh[#fresh + 1] = { key = key, meta = meta, stored = stored, order = order, is_large = is_large }
    if bytes then taken[source] = (taken[source] or 0) + EVENT + bytes end
  end
end
if #fresh > 0 then
  redis.call('HINCRBY', P .. 'totals', 'accepted', #fresh)
  if ARGV[2] ~= '0' then write_journal(marks) end
  -- Beyond eight million events of a source the number is full: they are taken all the same, and not counted.
  for source, share in pairs(taken) do redis.pcall('HINCRBY', P .. 'usage', source .. '|pending', share) end
  for _, event in ipairs(fresh) do
    if not hand_out(event) then break end
  end
end
if duplicates > 0 then redis.call('HINCRBY', P .. 'totals', 'duplicate', duplicates) end
if conflicts > 0 then redis.call('HINCRBY', P .. 'totals', 'conflict', conflicts) end
return answers
