-- Add revocations: the later one of a user wins, those older than any valid token are removed.
-- Prepended: identity.lua. KEYS: 1 sorted set: `u:user` → revoked_before (s), `#ver` → number of changes,
-- `#complete <identity>` → until when (ms) the set counts as complete.
-- ARGV: 1 until (ms, 0: these are not all), 2 oldest to keep (s), 3 the nonce that revoked_read.lua left before the
-- table was read: if it is gone, the set was lost meanwhile and is not complete; then user, revoked_before, …
local KEY = KEYS[1]
local kind = redis.call('TYPE', KEY).ok
if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', KEY) end
local changed = 0
for i = 4, #ARGV, 2 do
  local known = redis.call('ZSCORE', KEY, 'u:' .. ARGV[i])
  if not known or tonumber(known) < tonumber(ARGV[i + 1]) then
    redis.call('ZADD', KEY, ARGV[i + 1], 'u:' .. ARGV[i])
    changed = changed + 1
  end
end
redis.call('ZREMRANGEBYSCORE', KEY, '-inf', '(' .. ARGV[2])
if ARGV[1] ~= '0' and redis.call('ZREM', KEY, '#begun ' .. ARGV[3]) == 1 then
  redis.call('ZADD', KEY, ARGV[1], '#complete ' .. identity())
end
if not redis.call('ZSCORE', KEY, '#ver') then redis.call('ZADD', KEY, 1e14, '#ver') end
if changed > 0 then redis.call('ZINCRBY', KEY, changed, '#ver') end
return changed
