-- Set the number of connections of a user on an instance. ARGV: 4 instance, 5 token, 6 user, 7 connections,
-- 8 grace (ms). Reply: {lease_state of entry.lua, connections of the user on all instances}.
local now = clock()
local instance, user, here = ARGV[4], ARGV[6], tonumber(ARGV[7])
local state = lease_state(instance, ARGV[5], now)
if state ~= 'ok' then return {state, 0} end
local key = USERS .. user
if here > 0 then
  redis.call('HSET', key, 'c:' .. instance, here, 'last', now)
  redis.call('SADD', OF .. instance, user)
else
  redis.call('HDEL', key, 'c:' .. instance)
  redis.call('SREM', OF .. instance, user)
end
local entry = entry_of(user)
if is_connected(entry, now) then
  redis.call('ZREM', DUE, user)
  redis.call('PERSIST', key)
  local wanted = entry.away and 'away' or 'online'
  if entry.state ~= wanted then announce(user, entry, wanted, now) end
elseif entry.state then  -- absent if the user was erased meanwhile: then nothing is kept
  redis.call('HSET', key, 'last', now)
  redis.call('PEXPIRE', key, 30 * DAY)
  if entry.state ~= 'offline' then redis.call('ZADD', DUE, 'NX', now + ARGV[8], user) end
end
return {state, connections(entry, now)}
