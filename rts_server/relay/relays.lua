-- Say that a relay runs, or that it ends, and read which ones do.
-- KEYS: 1 the relays. ARGV: 1 relay, 2 ttl (ms; 0: it ends).
-- Reply: the relays, in order of their names.
local time, ttl = redis.call('TIME'), tonumber(ARGV[2])
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ttl > 0 then
  redis.call('ZADD', KEYS[1], now + ttl, ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ttl)
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
local relays = redis.call('ZRANGE', KEYS[1], 0, -1)
table.sort(relays)
return relays
