-- Put a loaded room into Redis, only while it is still cold and the claim is ours.
-- KEYS: 1-9 of fence.lua. ARGV[1]: JSON, see rehydrate.py. Outbox entries are never touched.
local room = cjson.decode(ARGV[1])
local now = clock()
if redis.call('GET', CLAIM) ~= room.nonce then return 'stolen' end
local state, head = fence(now)
if state == 'warm' then
  redis.call('DEL', CLAIM)
  return 'warm'
end
if head.epoch and head.epoch >= room.epoch then return 'moved' end

-- Cursors here may be ahead of the archive, which receives them late (D4); but never beyond the seq (D8).
local function ahead(name, stored)
  local here = redis.pcall('HGET', CURSORS, name)
  here = type(here) == 'string' and tonumber(here) or 0
  return math.max(stored, math.min(here, tonumber(room.seq)))
end
for _, member in ipairs(room.members) do
  member.read_seq = ahead('r:' .. member.user_id, member.read_seq)
  member.delivered_seq = math.max(member.read_seq, ahead('d:' .. member.user_id, member.delivered_seq))
end

-- The settled key goes, too: what is appended from now on may be queued when the room is lost again.
redis.call('DEL', MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED, KEY_PREFIX .. 'settled')
for _, member in ipairs(room.members) do
  redis.call('HSET', MEMBERS, member.user_id, member.stored)
  redis.call('HSET', CURSORS, 'r:' .. member.user_id, member.read_seq, 'd:' .. member.user_id, member.delivered_seq)
  if member.settings then redis.call('HSET', CURSORS, 'x:' .. member.user_id, member.settings) end
end
for _, seq in ipairs(room.uncounted) do redis.call('ZADD', UNCOUNTED, seq, seq) end

redis.call('DEL', HEAD)
local first = room.mode == 'new' and room.epoch == 1  -- then no message of it is anywhere
redis.call('HSET', HEAD, 'epoch', room.epoch, 'offset', 0, 'seq', room.seq, 'starts', room.starts,
  'ids_until', first and now + room.idem_ttl or 0,
  'ids', string.format('%d %s %d', room.seq, first and '-' or '0', now))
make_filter(ids_key(), WHOLE, room.idem_ttl)
if not first then make_filter(ids_before_key(), BEGUN, room.idem_ttl) end
if room.mode == 'load' then
  redis.call('HSET', HEAD, 'offset', 1, 'room', room.room, 'frozen', room.frozen and 1 or 0)
  if room.last then redis.call('HSET', HEAD, 'last', room.last, 'last_ms', room.last_ms) end
  local text = room.event[1] .. rfc3339(now) .. room.event[2]
  redis.call('XADD', LOG, room.epoch .. '-1', 'e', text, 't', now)
  redis.call(PUBLISH, room.channel, room.epoch .. ' 1 room.epoch ' .. text)
end
redis.call('HSET', HEAD, 'fence', identity(), 'shape', shape_of(hot_sizes()), 'touched', now,
  'ttl', room.ttl, 'hidden', room.hidden)
for _, key in ipairs({HEAD, MEMBERS, CURSORS, LOG, UNCOUNTED}) do
  redis.call('PEXPIREAT', key, now + room.ttl)
end
redis.call('DEL', CLAIM)
return 'ok'
