-- Move a member's cursors forward, and publish moved cursors to the room at most once per interval.
-- KEYS: 1-9 of fence.lua, 10 members whose moved cursors are not published yet, 11 cursors of the partition that
-- are not stored yet.
-- ARGV: user id ('': only publish), read and delivered (0: leave as it is), room id, channel, ms until
-- they are stored, ms between two publications, largest number of members in a room that is published to.
-- Reply: state, read, delivered, unread, ms until the rest may be published (0: nothing is pending);
-- 'not_found': the user is not a member.
-- A moved read cursor is published to the user's devices at once, at the room's head, so that they get it in the
-- order of the room's events. The rule of unread counts is that of rts_server/domain/unread.py: change both.
local now = clock()
local state, head = fence(now)
if state ~= 'warm' then return {state} end
local user, every = ARGV[1], tonumber(ARGV[7])
local waiting, dirty = redis.pcall('HGETALL', KEYS[10]), redis.pcall('ZCARD', KEYS[11])
if waiting.err or type(dirty) == 'table' then return {'broken'} end

local read, delivered, unread = 0, 0, 0
local function publish(type, data)
  local event = cjson.encode({type = type:match('[%a.]+'), ts = rfc3339(now), room_id = ARGV[4], data = data})
  redis.call('PUBLISH', ARGV[5], head.epoch .. ' ' .. head.offset .. ' ~' .. type .. ' ' .. event)
end
if user ~= '' then
  local kept = redis.call('HMGET', CURSORS, 'r:' .. user, 'd:' .. user)
  if redis.call('HEXISTS', MEMBERS, user) == 0 or not (kept[1] and kept[2]) then return {'not_found'} end
  local old_read, old_delivered = tonumber(kept[1]), tonumber(kept[2])
  read = math.max(old_read, math.min(tonumber(ARGV[2]), head.seq))
  delivered = math.max(old_delivered, read, math.min(tonumber(ARGV[3]), head.seq))
  unread = math.max(0, head.seq - read - redis.call('ZCOUNT', UNCOUNTED, '(' .. read, '+inf'))
  if read > old_read or delivered > old_delivered then
    redis.call('HSET', CURSORS, 'r:' .. user, read, 'd:' .. user, delivered)
    redis.call('ZADD', KEYS[11], 'NX', now + ARGV[6], ARGV[4] .. ' ' .. user)
    if redis.call('HLEN', MEMBERS) <= tonumber(ARGV[8]) then
      waiting[#waiting + 1], waiting[#waiting + 2] = 'u:' .. user, '1'
      redis.call('HSET', KEYS[10], 'u:' .. user, 1)
      redis.call('PEXPIRE', KEYS[10], 60 * every)
    end
  end
  if read > old_read then publish('read.moved@' .. user, {read_seq = read, unread = unread}) end
end

local published_at, cursors, listed = 0, {}, {}
for i = 1, #waiting, 2 do
  local name = waiting[i]
  local member = name:match('^u:(.*)$')
  if name == 'told' then
    published_at = tonumber(waiting[i + 1])
  elseif not listed[member] then
    listed[member] = true
    local at = redis.call('HMGET', CURSORS, 'r:' .. member, 'd:' .. member)
    if at[1] and at[2] then
      cursors[#cursors + 1] = {user_id = member, read_seq = tonumber(at[1]), delivered_seq = tonumber(at[2])}
    end
  end
end
if #cursors == 0 then return {state, read, delivered, unread, 0} end
if now < published_at + every then
  return {state, read, delivered, unread, published_at + every - now}
end
redis.call('DEL', KEYS[10])
redis.call('HSET', KEYS[10], 'told', now)
redis.call('PEXPIRE', KEYS[10], 60 * every)
publish('receipt.updated', {cursors = cursors})
return {state, read, delivered, unread, 0}
