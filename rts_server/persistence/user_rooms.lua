-- Set a room of a user if the position is newer, and publish that to the user's devices.
-- KEYS: 1 index of the user (hash). ARGV: room_id, epoch, offset, in|out, channel of the user, ms for which an index
-- with no room "in" is kept, and any other.
-- Reply: 1 if the position was newer, else 0.
local epoch, offset = tonumber(ARGV[2]), tonumber(ARGV[3])
if not is_newer(redis.call('HGET', KEYS[1], ARGV[1]), epoch, offset) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], epoch .. ':' .. offset .. ':' .. ARGV[4])
if ARGV[4] == 'in' then redis.call('PEXPIRE', KEYS[1], ARGV[7]) else expire(KEYS[1], ARGV[6], ARGV[7]) end
local version = redis.call('HINCRBY', KEYS[1], '#ver', 1)
redis.call(PUBLISH, ARGV[5], cjson.encode({
  kind = 'room', room_id = ARGV[1], epoch = epoch, offset = offset, state = ARGV[4], version = version,
}))
return 1
