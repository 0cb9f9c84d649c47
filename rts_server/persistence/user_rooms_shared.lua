-- With whom a user shares a room; reads only. KEYS: 1 his rooms, 2.. the rooms of the others.
-- Answer, for each of the others: 1 shares one, 0 shares none, -1 when his rooms are not all here.
local CHUNK = 100
local mine = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  if fields[i + 1]:match(':in$') then mine[#mine + 1] = fields[i] end
end
local function meets(key)
  for at = 1, #mine, CHUNK do
    local states = redis.call('HMGET', key, unpack(mine, at, math.min(at + CHUNK - 1, #mine)))
    for _, state in ipairs(states) do
      if state and state:match(':in$') then return true end
    end
  end
  return false
end
local answer = {}
for i = 2, #KEYS do
  if KEYS[i] == KEYS[1] or meets(KEYS[i]) then
    answer[#answer + 1] = 1
  else
    answer[#answer + 1] = complete(redis.call('HGET', KEYS[i], '#complete')) and 0 or -1
  end
end
return answer
