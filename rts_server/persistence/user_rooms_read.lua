-- Read the index of a user, and keep it for longer. KEYS: 1 index of the user. ARGV: ms for which it is kept.
-- Reply: {complete (0|1), fields}.
local fields = redis.call('HGETALL', KEYS[1])
for i = 2, #fields, 2 do
  if fields[i]:match(':in$') then
    redis.call('PEXPIRE', KEYS[1], ARGV[1])
    break
  end
end
return {complete(redis.call('HGET', KEYS[1], '#complete')) and 1 or 0, fields}
