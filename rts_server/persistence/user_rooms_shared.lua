-- Find out with whom a user shares a room. KEYS: 1 index of the user, 2.. indexes of other users.
-- Reply, for each of the others: 1 a common room, 0 none, -1 unknown because that index is incomplete.
local FIELDS_PER_CALL = 100
local mine = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i + 1]:match(':in$') then mine[#mine + 1] = fields[i] end
end
local function shares_room(key)
  for at = 1, #mine, FIELDS_PER_CALL do
    local states = redis.call('HMGET', key, unpack(mine, at, math.min(at + FIELDS_PER_CALL - 1, #mine)))
    for _, state in ipairs(states) do
      if state and state:match(':in$') then return true end
    end
  end
  return false
end
local answer = {}
for i = 2, #KEYS do
  if KEYS[i] == KEYS[1] or shares_room(KEYS[i]) then
    answer[#answer + 1] = 1
  else
    answer[#answer + 1] = complete(redis.call('HGET', KEYS[i], '#complete')) and 0 or -1
  end
end
return answer
