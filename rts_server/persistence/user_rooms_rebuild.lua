-- Set the rooms of a user as the archive has them, where these are newer, and mark the index as rebuilt.
-- KEYS: 1 index of the user. ARGV: 1 ms after which it must be rebuilt once more, 2 ms for which it is kept with no
-- room "in", 3 channel of the user, 4 channel of the user's presence; then room_id, epoch, offset, in|out of each room.
-- A second rebuild in the same Redis is final. Reply: {complete (1), fields}, as that of a read.
local FIELDS_PER_CALL = 1000
local known = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do known[fields[i]] = fields[i + 1] end

local newer, ended = {}, false
for i = 5, #ARGV, 4 do
  local room, epoch, offset, state = unpack(ARGV, i, i + 3)
  if is_newer(known[room], tonumber(epoch), tonumber(offset)) then
    newer[#newer + 1], newer[#newer + 2] = room, epoch .. ':' .. offset .. ':' .. state
    ended = ended or state == 'out'
  end
end
for at = 1, #newer, FIELDS_PER_CALL do
  redis.call('HSET', KEYS[1], unpack(newer, at, math.min(at + FIELDS_PER_CALL - 1, #newer)))
end

local here = identity()
local is_second = known['#complete'] and known['#complete']:match('^(%S+) ') == here
redis.call('HSET', KEYS[1], '#complete', here .. ' ' .. (is_second and 0 or clock() + ARGV[1]))
expire_if_empty(KEYS[1], ARGV[2])
if #newer > 0 then
  -- One message for all rooms: whoever hears it compares them. See user_rooms.lua for the second publish.
  local version = redis.call('HINCRBY', KEYS[1], '#ver', #newer / 2)
  redis.call('PUBLISH', ARGV[3], cjson.encode({kind = 'rooms', version = version}))
  if ended then redis.call('PUBLISH', ARGV[4], '-') end
end
return {1, redis.call('HGETALL', KEYS[1])}
