-- Note what is published now, and forget what is old.
-- KEYS: the sorted sets `recent` of some partitions. ARGV: 1 ms for which a member is kept; then per key the number of
-- its members, and these.
local MEMBERS_PER_CALL = 1000
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local at = 2
for _, key in ipairs(KEYS) do
  local pairs_of, last = {}, at + tonumber(ARGV[at])
  for i = at + 1, last do
    pairs_of[#pairs_of + 1], pairs_of[#pairs_of + 2] = now, ARGV[i]
  end
  for i = 1, #pairs_of, 2 * MEMBERS_PER_CALL do
    redis.call('ZADD', key, unpack(pairs_of, i, math.min(i + 2 * MEMBERS_PER_CALL - 1, #pairs_of)))
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - ARGV[1])
  redis.call('PEXPIRE', key, 2 * ARGV[1])
  at = last + 1
end
