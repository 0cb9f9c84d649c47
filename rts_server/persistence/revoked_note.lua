-- Add revocations: the later one of a user wins, those older than any valid token are removed.
-- Prepended: identity.lua. KEYS: 1 sorted set: `u:user` → revoked_before (s), `c:user` → number of its last change,
-- `#ver` → number of the last change of all, `#noted` → the same, unless a release changed the set that numbers
-- nothing, `#complete <identity>` → until when (ms) the set counts as complete.
-- ARGV: 1 until (ms, 0: these are not all), 2 oldest to keep (s), 3 the nonce that revoked_read.lua left before the
-- table was read: if it is gone, the set was lost meanwhile and is not complete; then user, revoked_before, …
-- Reply: how many were added.
local REMOVED_PER_CALL, BEGUN = 1000, '200000000000000'
local KEY = KEYS[1]
local kind = redis.call('TYPE', KEY).ok
if kind ~= 'zset' and kind ~= 'none' then redis.call('DEL', KEY) end
-- A set that was lost begins behind all its earlier numbers, so that an instance that knows one of them misses nothing.
local known = redis.call('ZSCORE', KEY, '#ver')
local numbered = known == redis.call('ZSCORE', KEY, '#noted')
local version = known and tonumber(known) or clock() * 1000
local changed = 0
for i = 4, #ARGV, 2 do
  local user, change = 'u:' .. ARGV[i], 'c:' .. ARGV[i]
  local before = redis.call('ZSCORE', KEY, user)
  if not before or tonumber(before) < tonumber(ARGV[i + 1]) or not redis.call('ZSCORE', KEY, change) then
    changed = changed + 1
    redis.call('ZADD', KEY, 'GT', ARGV[i + 1], user)
    redis.call('ZADD', KEY, version + changed, change)
  end
end
for _, user in ipairs(redis.call('ZRANGEBYSCORE', KEY, '-inf', '(' .. ARGV[2], 'LIMIT', 0, REMOVED_PER_CALL)) do
  redis.call('ZREM', KEY, user, 'c:' .. user:sub(3))
end
if ARGV[1] ~= '0' and redis.call('ZREM', KEY, '#begun ' .. ARGV[3]) == 1 then
  redis.call('ZREMRANGEBYSCORE', KEY, BEGUN, BEGUN)
  redis.call('ZADD', KEY, ARGV[1], '#complete ' .. identity())
end
redis.call('ZADD', KEY, version + changed, '#ver')
if numbered then redis.call('ZADD', KEY, version + changed, '#noted') end
return changed
