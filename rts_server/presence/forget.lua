-- Erase what is kept of a user; open connections stay counted. ARGV: 4 user.
-- Reply: whether there was anything to erase (0|1).
local now, user = clock(), ARGV[4]
local entry = entry_of(user)
redis.call('ZREM', DUE, user)
if redis.call('HDEL', USERS .. user, 'state', 'text', 'away', 'last', 'v') == 0 then return 0 end
if entry.state ~= 'offline' or (entry.text or '') ~= '' then
  publish(user, math.max(tonumber(entry.v or 0) + 1, now), 'offline', 0, '', now)
end
return 1
