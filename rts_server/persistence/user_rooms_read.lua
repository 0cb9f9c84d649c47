-- All rooms of a user, and whether that is all. KEYS: 1 hash of the user.
-- `#complete` holds the identity of the Redis it was rebuilt in, and until when (ms) it is young: the
-- queue may have been behind the rebuild, so it is done once more. Answer: complete (0|1), fields.
local mark = redis.call('HGET', KEYS[1], '#complete')
local complete = 0
if mark then
  local where, until_ms = mark:match('^(%S+) (%d+)$')
  if where == identity() and (until_ms == '0' or clock() < tonumber(until_ms)) then complete = 1 end
end
return {complete, redis.call('HGETALL', KEYS[1])}
