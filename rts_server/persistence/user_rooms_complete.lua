-- Mark a user's index as rebuilt. KEYS: 1 index of the user. ARGV: 1 ms after which it must be rebuilt once more,
-- 2 ms for which it is kept with no room "in". A second rebuild in the same Redis is final.
local mark = redis.call('HGET', KEYS[1], '#complete')
local here = identity()
local is_second = mark and mark:match('^(%S+) ') == here
redis.call('HSET', KEYS[1], '#complete', here .. ' ' .. (is_second and 0 or clock() + ARGV[1]))
expire_if_empty(KEYS[1], ARGV[2])
return 1
