-- Keep values in the context of a source: all of them, or none where one would overwrite another one and must not.
-- ARGV: prefix, source, 1 to overwrite or 0, then name and value (JSON) for each
-- Answer: 1 kept, 0 nothing was changed
local context = P .. 'context:' .. ARGV[2]
if ARGV[3] == '0' then
  for i = 4, #ARGV, 2 do
    local known = redis.call('HGET', context, ARGV[i])
    if known and known ~= ARGV[i + 1] then return 0 end
  end
end
for i = 4, #ARGV, 2 do redis.call('HSET', context, ARGV[i], ARGV[i + 1]) end
return 1
