-- Move cursors of members of several rooms forward, and publish moved cursors to each room at most once per interval.
-- KEYS: per room its head.
-- ARGV: ms until a moved read cursor is stored, ms until a moved delivered cursor is, ms between two publications of
-- a room, largest number of members in a room that is published to, what a room's id follows in its channel, and
-- JSON: per room the moves {user id, read, delivered}, where 0 leaves a cursor as it is; without a move the room is only published.
-- Reply: per room its state, ms until the rest may be published (0: nothing is pending), and per move {read,
-- delivered, unread} (unread only where `read` was given), or nothing for a user who is not a member.
-- A moved read cursor is published to the user's devices at once, at the room's head, so that they get it in the
-- order of the room's events. The rule of unread counts is that of rts_server/domain/unread.py: change both.
local READ_MS, DELIVERED_MS, INTERVAL_MS, MAX_MEMBERS, ROOM_CHANNEL = unpack(ARGV, 1, 5)
local RECENT_TTL_MS = 240000
local SAFETY_MS = 3600000  -- a cursor is stored this long before the hot keys expire, if it can be
local now = clock()
local room_id, head, receipts, dirty, recent  -- the room, its head, and keys beside those of fence.lua
local outbox, is_dirty  -- the channel of the partition's doorbell; whether it had dirty cursors before

-- Take a room by the key of its head.
local function use_room(head_key)
  local prefix = head_key:sub(1, -5)  -- without `head`
  use_keys({head_key, prefix .. 'members', prefix .. 'cursors', prefix .. 'log', prefix .. 'seqs',
    prefix .. 'changed', prefix .. 'uncounted', prefix .. 'claim'})
  receipts = prefix .. 'receipts'
  local partition = prefix:match('^{.-}')
  dirty, recent, outbox = partition .. ':dirty', partition .. ':recent', partition .. ':outbox'
  room_id = prefix:match('^{.-}:room:(.*):$')
end

local function publish(type, data)
  local event = cjson.encode({type = type:match('[%a.]+'), ts = rfc3339(now), room_id = room_id, data = data})
  redis.call(PUBLISH, ROOM_CHANNEL .. room_id, head.epoch .. ' ' .. head.offset .. ' ~' .. type .. ' ' .. event)
end

-- Read and delivered cursors of users, in turn; false for one who is not a member.
local function cursors_of(users)
  local names = {}
  for _, user in ipairs(users) do names[#names + 1], names[#names + 2] = 'r:' .. user, 'd:' .. user end
  return redis.call('HMGET', CURSORS, unpack(names))
end

local function unread_after(read)
  return math.max(0, head.seq - read - redis.call('ZCOUNT', UNCOUNTED, '(' .. read, '+inf'))
end

-- Note that moved cursors have to be stored: those that were read soon, what was only delivered later. They are read
-- from the hot keys then, so before these expire.
local function note_dirty(read_by, delivered_to)
  local latest = head.touched + hot_ttl() - SAFETY_MS
  local function add(flag, users, ms)
    local words, due = {}, math.min(now + ms, latest)
    for _, user in ipairs(users) do words[#words + 1], words[#words + 2] = due, room_id .. ' ' .. user end
    if #words > 0 then redis.call('ZADD', dirty, flag, unpack(words)) end
  end
  add('LT', read_by, READ_MS)
  add('NX', delivered_to, DELIVERED_MS)
  if not is_dirty then redis.call(PUBLISH, outbox, 'cursors') end
end

-- The cursors that a move leads to, and whether each moved.
local function moved_to(one, old_read, old_delivered)
  local read = math.max(old_read, math.min(one[2], head.seq))
  local delivered = math.max(old_delivered, read, math.min(one[3], head.seq))
  return read, delivered, read > old_read, delivered > old_delivered
end

-- Make the moves. Returns the reply to each and the users whose cursors moved.
local function move(moves)
  local users, replies, changes, moved, read_by, delivered_to, told = {}, {}, {}, {}, {}, {}, {}
  for i, one in ipairs(moves) do users[i] = one[1] end
  local kept = cursors_of(users)
  for i, user in ipairs(users) do
    replies[i] = {}
    if kept[2 * i - 1] and kept[2 * i] then
      local read, delivered, has_read, has_got = moved_to(moves[i], tonumber(kept[2 * i - 1]), tonumber(kept[2 * i]))
      local unread = moves[i][2] > 0 and unread_after(read) or 0
      replies[i] = {read, delivered, unread}
      if has_read or has_got then
        moved[#moved + 1] = user
        changes[#changes + 1], changes[#changes + 2] = 'r:' .. user, read
        changes[#changes + 1], changes[#changes + 2] = 'd:' .. user, delivered
        table.insert(has_read and read_by or delivered_to, user)
        if has_read then told[user] = {read_seq = read, unread = unread} end
      end
    end
  end
  if #moved > 0 then
    redis.call('HSET', CURSORS, unpack(changes))
    note_dirty(read_by, delivered_to)
  end
  if #read_by > 0 then
    -- For instances whose link is down now (recent_changes.py). Of a wrong type it is lost, and the receipt is not.
    redis.pcall('ZADD', recent, now, room_id)
    redis.pcall('PEXPIRE', recent, RECENT_TTL_MS)
  end
  for _, user in ipairs(read_by) do publish('read.moved@' .. user, told[user]) end
  return replies, moved
end

-- When the room was last published, and the users whose moved cursors wait since.
local function split(waiting)
  local published_at, users = 0, {}
  for i = 1, #waiting, 2 do
    local user = waiting[i]:match('^u:(.*)$')
    if user then users[#users + 1] = user else published_at = tonumber(waiting[i + 1]) end
  end
  return published_at, users
end

-- Keep users for the next publication.
local function keep(users)
  if #users == 0 then return end
  local fields = {}
  for _, user in ipairs(users) do fields[#fields + 1], fields[#fields + 2] = 'u:' .. user, 1 end
  redis.call('HSET', receipts, unpack(fields))
  redis.call('PEXPIRE', receipts, 60 * INTERVAL_MS)
end

-- The cursors of members as clients see them; a user who left has none.
local function shown(users)
  local cursors, kept = {}, cursors_of(users)
  for i, user in ipairs(users) do
    local read, delivered = kept[2 * i - 1], kept[2 * i]
    if read and delivered then
      cursors[#cursors + 1] = {user_id = user, read_seq = tonumber(read), delivered_seq = tonumber(delivered)}
    end
  end
  return cursors
end

-- Publish what waits and what moved, or keep it until the interval is over. Returns the ms until then, or 0.
local function publish_receipts(waiting, moved)
  local published_at, users = split(waiting)
  if #users + #moved == 0 then return 0 end
  local wait = published_at + INTERVAL_MS - now
  if wait > 0 then
    keep(moved)
    return wait
  end
  local listed = {}
  for _, user in ipairs(users) do listed[user] = true end
  for _, user in ipairs(moved) do if not listed[user] then users[#users + 1] = user end end
  redis.call('DEL', receipts)
  redis.call('HSET', receipts, 'told', now)
  redis.call('PEXPIRE', receipts, 60 * INTERVAL_MS)
  local cursors = shown(users)
  if #cursors > 0 then publish('receipt.updated', {cursors = cursors}) end
  return 0
end

local function write(head_key, moves)
  use_room(head_key)
  head = read_head()
  local state, sizes = state_of(head, now)
  if state ~= 'warm' then return {state, 0, {}} end
  -- Both may be of a wrong type, and a script must not stop between two writes.
  local waiting, count = redis.pcall('HGETALL', receipts), redis.pcall('ZCARD', dirty)
  if waiting.err or type(count) == 'table' then return {'broken', 0, {}} end
  is_dirty = count > 0
  local replies, moved = {}, {}
  if #moves > 0 then replies, moved = move(moves) end
  if sizes[1] > tonumber(MAX_MEMBERS) then moved = {} end
  return {state, publish_receipts(waiting, moved), replies}
end

local replies = {}
for i, moves in ipairs(cjson.decode(ARGV[6])) do replies[i] = write(KEYS[i], moves) end
return replies
