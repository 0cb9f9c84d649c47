-- Find out whether a user is in one of some rooms. KEYS: 1 index of the user. ARGV: room ids.
-- Reply: {complete (0|1), whether they are in one (0|1)}.
local FIELDS_PER_CALL = 100
local is_in_one = 0
for at = 1, #ARGV, FIELDS_PER_CALL do
  local last = math.min(at + FIELDS_PER_CALL - 1, #ARGV)
  for _, state in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV, at, last))) do
    if state and state:match(':in$') then is_in_one = 1 end
  end
end
return {complete(redis.call('HGET', KEYS[1], '#complete')) and 1 or 0, is_in_one}
