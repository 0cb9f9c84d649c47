-- Find out with whom a user shares a room. KEYS: 1 index of the user, 2.. indexes of other users.
-- ARGV: for each of the others, the direct room that both would have.
-- Reply, for each of the others: 1 a common room, 0 none, -1 unknown because an index is incomplete.
local FIELDS_PER_CALL = 100
local function is_in(state) return state and state:match(':in$') end
local mine, mine_complete
local function read_mine()
  mine, mine_complete = {}, false
  local fields = redis.call('HGETALL', KEYS[1])
  for i = 1, #fields, 2 do
    if is_in(fields[i + 1]) then mine[#mine + 1] = fields[i] end
    if fields[i] == '#complete' then mine_complete = complete(fields[i + 1]) end
  end
end
local function shares_room(key)
  if not mine then read_mine() end
  for at = 1, #mine, FIELDS_PER_CALL do
    local states = redis.call('HMGET', key, unpack(mine, at, math.min(at + FIELDS_PER_CALL - 1, #mine)))
    for _, state in ipairs(states) do
      if is_in(state) then return true end
    end
  end
  return false
end
-- Most ask about those they have a direct room with: one field of the other's index shows it. Each of the two left
-- it by themselves, so it counts only if it is in both.
local function share_direct_room(key, room)
  return is_in(redis.call('HGET', key, room)) and is_in(redis.call('HGET', KEYS[1], room))
end
local answer = {}
for i = 2, #KEYS do
  if KEYS[i] == KEYS[1] or share_direct_room(KEYS[i], ARGV[i - 1]) or shares_room(KEYS[i]) then
    answer[#answer + 1] = 1
  else
    if not mine then read_mine() end
    local known = mine_complete and complete(redis.call('HGET', KEYS[i], '#complete'))
    answer[#answer + 1] = known and 0 or -1
  end
end
return answer
