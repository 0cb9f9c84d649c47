-- Publish the version of a user's index once more. KEYS: 1 index of the user. ARGV: 1 channel of the user, 2 channel of
-- the user's presence, 3 whether they left a room (0|1).
-- Who stands at another version compares the rooms of the user. See user_rooms.lua for the second publish.
local version = redis.call('HGET', KEYS[1], '#ver')
if version then redis.call('PUBLISH', ARGV[1], cjson.encode({kind = 'rooms', version = tonumber(version)})) end
if ARGV[3] == '1' then redis.call('PUBLISH', ARGV[2], '-') end
