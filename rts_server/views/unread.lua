-- Publish a member's unread counts at the room's head, so that devices receive them in the order of
-- the room's events. The rule of the counts is that of rts_server/domain/unread.py: change both.
-- KEYS: 1-9 of fence.lua. ARGV: user id, room id, channel, total of unread messages in the user's other rooms,
-- number of these rooms that have any.
-- Reply: state, or 'not_found'.
local now = clock()
local state, head = fence(now)
if state ~= 'warm' then return state end
local user = ARGV[1]
if redis.call('HEXISTS', MEMBERS, user) == 0 then return 'not_found' end
local kept = redis.call('HMGET', CURSORS, 'r:' .. user, 'd:' .. user, 'x:' .. user)
local read = tonumber(kept[1] or 0)
local unread = math.max(0, head.seq - read - redis.call('ZCOUNT', UNCOUNTED, '(' .. read, '+inf'))
local counts = unread > 0 and (not kept[3] or kept[3]:match(' 0 0$'))
local event = cjson.encode({type = 'unread.changed', ts = rfc3339(now), room_id = ARGV[2], data = {
  unread = unread, read_seq = read,
  total = ARGV[4] + (counts and unread or 0), rooms = ARGV[5] + (counts and 1 or 0),
}})
redis.call('PUBLISH', ARGV[3], head.epoch .. ' ' .. head.offset .. ' ~unread.changed@' .. user .. ' ' .. event)
return state
