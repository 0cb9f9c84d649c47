-- The end of an instance: it counts no more at once, and whom it still has are given up by the others.
-- ARGV: 4 instance, 5 token. Answer: state of entry.lua's `standing`.
local now, instance = clock(), ARGV[4]
local state = standing(instance, ARGV[5], now)
if state ~= 'ok' then return state end
if redis.call('SCARD', OF .. instance) > 0 then
  redis.call('ZADD', INSTANCES, now, instance)
else
  redis.call('ZREM', INSTANCES, instance)
  redis.call('HDEL', ABOUT, instance)
end
return state
