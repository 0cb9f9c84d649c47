-- Publish the version of a user's index once more. KEYS: 1 index of the user. ARGV: channel of the user.
-- Who stands at another version compares the rooms of the user.
local version = redis.call('HGET', KEYS[1], '#ver')
if version then redis.call(PUBLISH, ARGV[1], cjson.encode({kind = 'rooms', version = tonumber(version)})) end
