-- Find work that was parked before there was an index of it by source.
-- ARGV: prefix, then for every piece that nobody handles: member, source
-- Nobody knew then that such work is let go: its time begins now. A millionth of its age keeps it in its order.
for i = 2, #ARGV, 2 do
  local since = redis.call('ZSCORE', P .. 'parked', ARGV[i])
  if since then
    redis.call('HSETNX', P .. 'work:' .. ARGV[i], 'origin', '{"source":"' .. ARGV[i + 1] .. '"')
    local begun = now - (now - tonumber(since)) / 1e6
    park_unhandled(ARGV[i], ARGV[i + 1], nil, begun)
  end
end
return 0
