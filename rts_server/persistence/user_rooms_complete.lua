-- Mark a user's rooms as rebuilt. KEYS: 1 hash of the user. ARGV: ms for which it is young; ms for which
-- it is kept with no room "in".
-- A second rebuild in the same Redis is final.
local mark = redis.call('HGET', KEYS[1], '#complete')
local here = identity()
local again = mark and mark:match('^(%S+) ') == here
redis.call('HSET', KEYS[1], '#complete', here .. ' ' .. (again and 0 or clock() + ARGV[1]))
expire_if_empty(KEYS[1], ARGV[2])
return 1
