-- Trim the hot log of a room, from its oldest event on: what is too old, too much or too large, if the archive has it.
-- With an event go its seq, a change that is kept beside the log, and the idempotency key of its request. Beside that,
-- uncounted messages are forgotten that all members have read.
-- KEYS: 1-9 of fence.lua, 10 the rooms of the partition that are to be trimmed (sorted set room → ms).
-- ARGV: room id, then epoch and offset up to which the archive has the records about messages; ms that an event stays
-- even in a large log, ms that it stays even among many, events that may stay longer, ms that those stay, bytes;
-- events that are trimmed at most.
-- Reply: events trimmed.
local room_id, stored_epoch, stored_offset = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local shortest, floor, most_events, longest, most_bytes =
  tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local most_trimmed = ARGV[9]
local now = clock()
local state, head = fence(now)
-- A log that is half lost is made anew by the load of its room.
if state ~= 'warm' then
  redis.call('ZREM', KEYS[10], room_id)
  return 0
end
local sizes = {}
for size in head.shape:gmatch('%d+') do sizes[#sizes + 1] = tonumber(size) end
local LOG_SIZE, SEQS_SIZE, CHANGED_SIZE, UNCOUNTED_SIZE = 3, 4, 5, 6  -- places in `sizes`
local bytes = redis.call('MEMORY', 'USAGE', LOG) or 0

-- Up to which offset the archive surely has them: its head is raised beside the messages of a batch.
local MAX_BATCH_RECORDS = 10
local function sure_offset()
  if stored_epoch ~= head.epoch then return stored_epoch > head.epoch and head.offset or 0 end
  local records = 0
  for _, entry in ipairs(redis.call('XREVRANGE', LOG, head.epoch .. '-' .. stored_offset, '-', 'COUNT', 100)) do
    local name = entry[2][5]
    if name == 's' or name == 'm' then records = records + 1 end
    if records == MAX_BATCH_RECORDS then return entry[1]:match('-(%d+)$') - 1 end
  end
  return 0
end
local sure = sure_offset()

-- Records about messages are stored in their order. All other events are only read from the log by who missed them:
-- what they changed is in the other hot keys.
local function is_stored(at, fields)
  if not (fields.s or fields.m) then return true end
  return at <= sure or (at <= stored_offset and stored_epoch == head.epoch and now - fields.t >= longest)
end

-- How long an event stays while so many are left.
local function stay(left)
  if bytes > most_bytes then return shortest end
  return left > most_events and floor or longest
end

-- The change of a message that is kept beside the log, unless a later one replaced it.
local function forget_change(message_id, at)
  local changed = redis.call('HGET', CHANGED, message_id)
  if changed and changed:match('^%d+') == at then
    sizes[CHANGED_SIZE] = sizes[CHANGED_SIZE] - redis.call('HDEL', CHANGED, message_id)
  end
end

local trimmed, results, last_at, last_seq, oldest = 0, {}, nil, nil, nil
for _, entry in ipairs(redis.call('XRANGE', LOG, '-', '+', 'COUNT', most_trimmed)) do
  local fields, at = {}, entry[1]:match('-(%d+)$')
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  local left = sizes[LOG_SIZE] - trimmed
  if left == 0 or now - fields.t < stay(left) or not is_stored(tonumber(at), fields) then
    oldest = fields
    break
  end
  trimmed, last_at, last_seq, bytes = trimmed + 1, at, fields.s or last_seq, bytes - #fields.e
  -- The id of a message comes before all that its sender wrote.
  local request = fields.k or (fields.s and fields.e:match('"message_id":"(%w+)"'))
  if request then results[#results + 1] = KEY_PREFIX .. 'idem:' .. request end
  if fields.m then forget_change(fields.m, at) end
end

-- Of many uncounted messages those go that count for nobody, and then the oldest: who has not read as many deleted
-- messages sees those as unread.
local MANY_UNCOUNTED, MAX_UNCOUNTED = 1000, 10000
local function forget_uncounted()
  local read_by_all, cursors = head.seq, redis.call('HGETALL', CURSORS)
  for i = 1, #cursors, 2 do
    if cursors[i]:sub(1, 2) == 'r:' then read_by_all = math.min(read_by_all, tonumber(cursors[i + 1])) end
  end
  local forgotten = redis.call('ZREMRANGEBYSCORE', UNCOUNTED, '-inf', read_by_all)
  local surplus = sizes[UNCOUNTED_SIZE] - forgotten - MAX_UNCOUNTED
  if surplus > 0 then forgotten = forgotten + redis.call('ZREMRANGEBYRANK', UNCOUNTED, 0, surplus - 1) end
  if forgotten == 0 then return end
  sizes[UNCOUNTED_SIZE] = sizes[UNCOUNTED_SIZE] - forgotten
  redis.call('HINCRBY', HEAD, 'forgotten', forgotten)
  redis.call('HSET', HEAD, 'shape', shape_of(sizes))
end
if sizes[UNCOUNTED_SIZE] > MANY_UNCOUNTED then forget_uncounted() end

if trimmed > 0 then
  redis.call('XTRIM', LOG, 'MINID', head.epoch .. '-' .. last_at + 1)
  sizes[LOG_SIZE] = sizes[LOG_SIZE] - trimmed
  if last_seq then
    sizes[SEQS_SIZE] = sizes[SEQS_SIZE] - redis.call('ZREMRANGEBYSCORE', SEQS, '-inf', last_seq)
  end
  if #results > 0 then redis.call('UNLINK', unpack(results)) end
  -- From now on Redis does not know all requests by their keys: the filter of message ids is asked.
  redis.call('HSET', HEAD, 'shape', shape_of(sizes), 'ids_until', 0)
end

-- When to look again: once the oldest event has been there long enough, but not after each event; what the archive
-- does not have yet is late. None is left: the next append notes it.
local left = sizes[LOG_SIZE]
if left <= 0 then
  redis.call('ZREM', KEYS[10], room_id)
elseif not oldest then
  redis.call('ZADD', KEYS[10], now, room_id)
else
  local pause = left > most_events and floor / 15 or floor
  redis.call('ZADD', KEYS[10], math.max(oldest.t + stay(left), now + pause), room_id)
end
return trimmed
