-- Read what was noted as recent. KEYS: the sorted sets `recent` of some partitions. ARGV: ms since 1970 from which on.
-- Reply: all members.
local found = {}
for _, key in ipairs(KEYS) do
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, ARGV[1], '+inf')) do found[#found + 1] = member end
end
return found
