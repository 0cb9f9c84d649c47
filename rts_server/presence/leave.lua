-- Give up the lease of an instance. Users it still has are swept by the other instances.
-- ARGV: 4 instance, 5 token. Reply: lease_state of entry.lua.
local now, instance = clock(), ARGV[4]
local state = lease_state(instance, ARGV[5], now)
if state ~= 'ok' then return state end
if redis.call('SCARD', OF .. instance) > 0 then
  redis.call('ZADD', INSTANCES, now, instance)
else
  redis.call('ZREM', INSTANCES, instance)
  redis.call('HDEL', ABOUT, instance)
end
return state
