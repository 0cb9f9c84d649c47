-- What a user says of himself. ARGV: 4 instance, 5 token, 6 user, 7 online|away ('' as it is),
-- 8 whether there is a text (0|1), 9 the text. Answer: state of `standing`, and the entry as read.lua has it.
local now = clock()
local user = ARGV[6]
local standing_ = standing(ARGV[4], ARGV[5], now)
if standing_ ~= 'ok' then return {standing_} end
local key, before = USERS .. user, entry_of(user)
if ARGV[7] == 'away' then redis.call('HSET', key, 'away', 1) end
if ARGV[7] == 'online' then redis.call('HDEL', key, 'away') end
if ARGV[8] == '1' then redis.call('HSET', key, 'text', ARGV[9]) end
redis.call('HSET', key, 'last', now)
local entry = entry_of(user)
if lives(entry, now) then
  local wanted = entry.away and 'away' or 'online'
  if entry.state ~= wanted or (entry.text or '') ~= (before.text or '') then tell(user, entry, wanted, now) end
else
  redis.call('PEXPIRE', key, 30 * DAY)
end
local told = redis.call('HMGET', key, 'state', 'last', 'text', 'v')
return {standing_, told[1] or 'offline', tonumber(told[2]), told[3] or '', tonumber(told[4] or 0)}
