-- Register an instance or renew its lease. ARGV: 4 instance, 5 the token it knows ('' for none),
-- 6 lease (ms), 7 whether it was never registered (0|1), 8 a new token, 9 its description (JSON, '' for none).
-- Reply: {state, token, ms}. State: 'ok', 'anew' (register again under this token) or 'lapsed' (its users were
-- announced as offline). ms: the time in which users may still be missing because Redis lost its data.
local now, here = clock(), identity()
local instance, lease = ARGV[4], tonumber(ARGV[6])
local kept = redis.call('HMGET', FENCE, 'identity', 'token', 'at')
if kept[1] ~= here or not kept[2] then
  kept = {here, ARGV[8], now}
  redis.call('HSET', FENCE, 'identity', here, 'token', ARGV[8], 'at', now)
end
local token, at = kept[2], tonumber(kept[3])
local function answer(state) return {state, token, math.max(0, at + lease - now)} end

if ARGV[5] ~= token then return answer('anew') end
local score = redis.call('ZSCORE', INSTANCES, instance)
if ARGV[7] == '0' then
  if not score then return answer('lapsed') end
  if tonumber(score) <= now then
    -- Expired, but not swept: perhaps Redis was away, and the other instances are late too. `at` gives them
    -- one lease to renew before anybody sweeps.
    at = now
    redis.call('HSET', FENCE, 'at', now)
  end
end
redis.call('ZADD', INSTANCES, now + lease, instance)
if ARGV[9] ~= '' then redis.call('HSET', ABOUT, instance, ARGV[9]) end
return answer('ok')
