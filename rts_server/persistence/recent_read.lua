-- Read what was noted as recent. KEYS: the sorted sets `recent` of some partitions. ARGV: how far back, in ms.
-- Reply: all members.
local t = redis.call('TIME')
local since = t[1] * 1000 + math.floor(t[2] / 1000) - ARGV[1]
local found = {}
for _, key in ipairs(KEYS) do
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', key, since, '+inf')) do found[#found + 1] = member end
end
return found
