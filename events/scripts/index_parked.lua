-- Find work that was parked before there was an index of it by source.
-- ARGV: prefix, then for every piece that nobody handles: member, source
for i = 2, #ARGV, 2 do
  local since = redis.call('ZSCORE', P .. 'parked', ARGV[i])
  if since then
    redis.call('HSETNX', P .. 'work:' .. ARGV[i], 'source', ARGV[i + 1])
    park_unhandled(ARGV[i], ARGV[i + 1], redis.call('HGET', P .. 'work:' .. ARGV[i], 'bytes'), since)
  end
end
return 0
