-- Set a room of a user, only if the position is newer, and tell his devices.
-- KEYS: 1 hash of the user. ARGV: room_id, epoch, offset, in|out, his channel, that of his presence, ms for
-- which an index with no room "in" is kept.
-- Answer: 1 if it was newer.
local epoch, offset = tonumber(ARGV[2]), tonumber(ARGV[3])
local known = redis.call('HGET', KEYS[1], ARGV[1])
if known then
  local e, o = known:match('^(%d+):(%d+)')
  e, o = tonumber(e), tonumber(o)
  if e > epoch or (e == epoch and o >= offset) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], epoch .. ':' .. offset .. ':' .. ARGV[4])
if ARGV[4] == 'in' then redis.call('PERSIST', KEYS[1]) else expire_if_empty(KEYS[1], ARGV[7]) end
local version = redis.call('HINCRBY', KEYS[1], '#ver', 1)
redis.call('PUBLISH', ARGV[5], cjson.encode({
  kind = 'room', room_id = ARGV[1], epoch = epoch, offset = offset, state = ARGV[4], version = version,
}))
-- Who asked at the word of `append` read this hash as it was: watches end with the last shared room.
if ARGV[4] == 'out' then redis.call('PUBLISH', ARGV[6], '-') end
return 1
