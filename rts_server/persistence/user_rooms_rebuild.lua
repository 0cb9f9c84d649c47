-- Set the rooms of a user as the archive has them, where these are newer, and mark the index as rebuilt.
-- KEYS: 1 index of the user. ARGV: 1 ms after which it must be rebuilt once more, 2 ms for which it is kept with no
-- room "in", 3 channel of the user, 4 ms for which it is kept else, and after which the next rebuild is due; then
-- room_id, epoch, offset, in|out of each room.
-- Reply: {complete (1), fields}, as that of a read, and whether a room was left meanwhile (0|1).
-- The first rebuild in a Redis holds for a while only. A later one forgets the rooms that the user has left, if the
-- archive knows that: an index does not grow with all rooms that a user ever was in.
local FIELDS_PER_CALL = 1000
local known = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do known[fields[i]] = fields[i + 1] end

local here = identity()
local is_later = known['#complete'] and known['#complete']:match('^(%S+) ') == here
-- Whether a room may be left out: its state here is `out`, or it has none, and the archive has one that is as new.
local function is_past(room, epoch, offset, state)
  if not is_later or state == 'in' then return false end
  local mark = known[room]
  return not mark or mark == epoch .. ':' .. offset .. ':out' or (mark:match(':out$') and is_newer(mark, epoch, offset))
end

local newer, ended, past = {}, false, {}
for i = 5, #ARGV, 4 do
  local room, epoch, offset, state = unpack(ARGV, i, i + 3)
  epoch, offset = tonumber(epoch), tonumber(offset)
  if is_past(room, epoch, offset, state) then
    past[#past + 1] = room
  elseif is_newer(known[room], epoch, offset) then
    newer[#newer + 1], newer[#newer + 2] = room, epoch .. ':' .. offset .. ':' .. state
    ended = ended or state == 'out'
  end
end
for at = 1, #newer, FIELDS_PER_CALL do
  redis.call('HSET', KEYS[1], unpack(newer, at, math.min(at + FIELDS_PER_CALL - 1, #newer)))
end
for at = 1, #past, FIELDS_PER_CALL do
  redis.call('HDEL', KEYS[1], unpack(past, at, math.min(at + FIELDS_PER_CALL - 1, #past)))
end

redis.call('HSET', KEYS[1], '#complete', here .. ' ' .. clock() + (is_later and ARGV[4] or ARGV[1]))
expire(KEYS[1], ARGV[2], ARGV[4])
if #newer > 0 then
  -- One message for all rooms: whoever hears it compares them.
  local version = redis.call('HINCRBY', KEYS[1], '#ver', #newer / 2)
  redis.call(PUBLISH, ARGV[3], cjson.encode({kind = 'rooms', version = version}))
end
return {1, redis.call('HGETALL', KEYS[1]), ended and 1 or 0}
