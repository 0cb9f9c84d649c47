-- Set the state and the status text of a user. ARGV: 4 instance, 5 token, 6 user, 7 online|away ('' to keep),
-- 8 whether to set the text (0|1), 9 the text. Reply: {lease_state}, if it is 'ok' with the fields of read.lua.
local now = clock()
local user = ARGV[6]
local state = lease_state(ARGV[4], ARGV[5], now)
if state ~= 'ok' then return {state} end
local key, before = USERS .. user, entry_of(user)
if ARGV[7] == 'away' then redis.call('HSET', key, 'away', 1) end
if ARGV[7] == 'online' then redis.call('HDEL', key, 'away') end
if ARGV[8] == '1' then redis.call('HSET', key, 'text', ARGV[9]) end
redis.call('HSET', key, 'last', now)
local entry = entry_of(user)
if is_connected(entry, now) then
  local wanted = entry.away and 'away' or 'online'
  if entry.state ~= wanted or (entry.text or '') ~= (before.text or '') then announce(user, entry, wanted, now) end
else
  redis.call('PEXPIRE', key, 30 * DAY)
end
local fields = redis.call('HMGET', key, 'state', 'last', 'text', 'v')
return {state, fields[1] or 'offline', tonumber(fields[2]), fields[3] or '', tonumber(fields[4] or 0)}
