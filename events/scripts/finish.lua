-- End leases. An end with a stale token changes nothing: another worker has the work.
-- ARGV: prefix, dedup ttl in ms, history ttl in ms, most parked events and bytes of a source that nobody handles,
--   then for every lease: member, token, end, delay in ms, handler ('' when none was chosen), note (JSON)
-- Ends: done, discarded (the event is over) · retried (an attempt is used up) · released (none is) · dead · parked, until
--   the account that the note may name is connected again
-- Answer: for every lease 1 ended, 0 stale
local dedup_ttl, history_ttl, parked_max, parked_bytes = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local queue = P .. 'queue'
local answers, totals = {}, {}
local LONGEST_WAIT_MS = 1000
local MAX_LET_GO = 100

-- Whether the account was connected again after this lease began: then the work can run again.
local function was_reconnected(account, token)
  local at = redis.call('GET', account_key('reconnected', account))
  local leased = string.match(token, ':(%d+):%d+$')
  return at and leased and tonumber(at) >= tonumber(leased)
end

even_when_full()
for i = 6, #ARGV, 6 do
  local member, token, ending = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local work = P .. 'work:' .. member
  local counted = ending
  local state = redis.call('HMGET', work, 'token', 'lane', 'unrouted', 'origin')
  if state[1] ~= token then
    answers[#answers + 1] = 0
    counted = 'stale'
  else
    local handler, detail = ARGV[i + 4], ARGV[i + 5]
    local account = ending == 'parked' and account_of(detail)
    if account and was_reconnected(account, token) then ending, counted = 'released', 'released' end
    note(key_of(member), ending .. ' ' .. detail)
    if ending == 'done' or ending == 'discarded' then
      redis.call('ZREM', queue, member)
      close(member, dedup_ttl, history_ttl, state[4])
    else
      redis.call('HDEL', work, 'token', 'claims')
      if handler ~= '' then redis.call('HSET', work, 'handler', handler) end
      if ending == 'retried' or ending == 'released' then
        if ending == 'retried' then redis.call('HINCRBY', work, 'attempts', 1) end
        redis.call('ZADD', queue, now + tonumber(ARGV[i + 3]), member)
        -- Idle workers know only later due times: let one claim again.
        if tonumber(ARGV[i + 3]) < LONGEST_WAIT_MS then wake() end
      else
        redis.call('ZREM', queue, member)
        redis.call('HSET', work, 'note', detail)
        redis.call('ZADD', P .. ending, now, member)
        if ending == 'dead' then add_to_cause(member, now, read_note(detail)) end
        if account then
          redis.call('SADD', account_key('reconnect', account), member)
        elseif ending == 'parked' and read_note(detail).why == 'no_handler' then
          local source, bytes = read_origin(state[4] or '')
          if source then
            park_unhandled(member, source, bytes, now)
            bound_unhandled(source, parked_max, parked_bytes, 0, MAX_LET_GO, dedup_ttl, history_ttl)
          end
        end
      end
    end
    local again = ending == 'retried' or ending == 'released'
    -- In an ordered lane the first piece holds the rest until it is over.
    if state[2] and not (again and redis.call('HGET', P .. 'lane:' .. state[2], 'ordered') == '1') then
      leave(member, state[2])
    end
    if state[3] and ending ~= 'released' then
      routed(member)
      unblock()
    end
    answers[#answers + 1] = 1
  end
  totals[counted] = (totals[counted] or 0) + 1
end
settle()
forget_ended(history_ttl)
for name, count in pairs(totals) do redis.call('HINCRBY', P .. 'totals', name, count) end
return answers
