-- The only way into a room's log. All reads and checks come first; nothing after the first write can fail.
-- KEYS: 1-9 of fence.lua, 10 idempotency key of this request, 11 (message.failed) that of the message.
-- ARGV[1]: the request as JSON, see append.py. Answer: a list that starts with the outcome.
local req = cjson.decode(ARGV[1])
local IDEM, FAILED = KEYS[10], KEYS[11]
local now = clock()

-- 1. the fence
local state, head = fence(now)
if state ~= 'warm' then
  -- A claim that is ours already: the answer that gave it was lost.
  if redis.call('SET', CLAIM, req.nonce, 'NX', 'PX', req.claim_ttl)
    or redis.call('GET', CLAIM) == req.nonce then
    return {'cold', now, state}
  end
  return {'loading', now}
end

-- 2. idempotency: the first result, with its status as it is now
local known = redis.pcall('HMGET', IDEM, 'epoch', 'offset', 'seq', 'ts', 'hash', 'entries', 'answer', 'failed', 'by')
if known.err then return {'broken', now} end
if FAILED and type(redis.pcall('HLEN', FAILED)) == 'table' then return {'broken', now} end
if known[1] then
  if known[5] ~= req.hash then return {'conflict', now} end
  local status = 'queued'
  for entry in string.gmatch(known[6], '%S+') do
    if #redis.call('XRANGE', OUTBOX, entry, entry) > 0 then status = 'pending' end
  end
  if known[8] then status = 'failed' end
  return {'duplicate', now, known[1], known[2], known[3], known[4], known[6], known[7], status,
    known[9] or ''}
end

-- What its origin appended in an earlier epoch may be lost, and comes first.
if req.since and req.since < head.epoch then return {'behind', now, head.epoch} end

-- What a room is to one member beyond its log; kept as `rev muted hidden`.
local function settings_of(user_id)
  local kept = redis.call('HGET', CURSORS, 'x:' .. user_id) or '0 0 0'
  local rev, muted, hidden = kept:match('^(%d+) (%d) (%d)$')
  return {rev = tonumber(rev), muted = muted, hidden = hidden}
end
-- The settings after a change, nil when it changes nothing.
local function changed_settings(user_id, change)
  local now_, new = settings_of(user_id), {}
  for _, name in ipairs({'muted', 'hidden'}) do
    new[name] = now_[name]
    if change[name] ~= nil then new[name] = change[name] and '1' or '0' end
  end
  new.rev = now_.rev + 1
  if new.muted ~= now_.muted or new.hidden ~= now_.hidden then return new end
end
-- Who has hidden the room, as words in the head: a message must not look at every member.
local function hide(user_id, hidden)
  local words = {}
  for word in (head.hidden or ''):gmatch('%S+') do
    if word ~= user_id then words[#words + 1] = word end
  end
  if hidden then words[#words + 1] = user_id end
  head.hidden = table.concat(words, ' ')
end
local function tell_state(user_id, user_role, one)
  local event = cjson.encode({type = 'room.state', ts = rfc3339(now), room_id = req.room_id,
    data = {muted = one.muted == '1', hidden = one.hidden == '1', role = user_role}})
  redis.call('PUBLISH', user_channel(user_id), cjson.encode(
    {kind = 'event', namespace = '/chat', type = 'room.state', text = event}))
end

-- 3. guards
local waiting = redis.pcall('XLEN', OUTBOX)
if type(waiting) == 'table' then return {'broken', now} end
if now > req.deadline then return {'late', now} end
if waiting >= req.outbox_cap then return {'full', now} end
if req.absent then
  if head.room then
    return {'exists', now, redis.call('HEXISTS', MEMBERS, req.actor)}
  end
elseif not head.room then
  return {'not_found', now}
end
local role
if req.roles then
  local member = redis.call('HGET', MEMBERS, req.actor)
  if not member then return {'not_found', now} end
  role = member:match('^%a+')
elseif not (req.again or req.absent or req.change) and cjson.decode(head.room).deleted_at then
  return {'not_found', now}
end
if req.group_only and not req.again and cjson.decode(head.room).type ~= 'group' then
  return {'direct', now}
end
if req.roles then
  if not req.roles[role] then return {'forbidden', now} end
  local held = head.frozen == '1' and not req.when_frozen
  if held and role ~= 'owner' and role ~= 'admin' then return {'frozen', now} end
end
-- The memory of ids ends, and begins with the room's load: what may be older is asked of the archive.
if req.ask_archive and now >= tonumber(head.ids_until or 0) then
  local seen = seen_id(req.request_id, head.seq)
  if seen ~= 'new' then return {'ask', now, head.epoch, seen, head.seq} end
end

-- A change of a message builds on the state its author read.
if req.change then
  local changed = redis.call('HGET', CHANGED, req.change.message_id)
  local version = changed and tonumber(changed:match('^%d+ (%d+)'))
  if req.change.epoch ~= head.epoch or (version and version ~= req.change.version) then
    return {'moved', now}
  end
end
-- What was wished of a member, of his settings, of the room or of a message, and answered: a lost
-- append that comes back (`again`, where it was lost) must not do so over what was wished after it.
-- Kept as `epoch:offset`, of members in a hash of the room, of messages in a key each.
local WISHES = (HEAD:gsub('head$', 'wishes'))
local WISH_TTL = 1000000
local wishes, mine, about = {}, {}, {}
for _, one in ipairs(req.members or {}) do mine[#mine + 1] = 'member ' .. one.user_id end
if req.settings then mine[#mine + 1] = 'settings ' .. req.actor end
if req.room_change then mine[#mine + 1] = 'room' end
for i, wish in ipairs(req.wishes or {}) do about[i] = (HEAD:gsub('head$', 'wish:')) .. wish end
local function newer(kept)
  if not (kept and req.again) then return false end
  local epoch, offset = kept:match('^(%d+):(%d+)$')
  epoch, offset = tonumber(epoch) or 0, tonumber(offset) or 0
  return epoch > req.again[1] or (epoch == req.again[1] and offset > req.again[2])
end
if #mine > 0 then
  local kept = redis.pcall('HMGET', WISHES, unpack(mine))
  if kept.err then return {'broken', now} end
  for i, target in ipairs(mine) do wishes[target] = newer(kept[i]) end
end
for _, key in ipairs(req.again and about or {}) do
  local kept = redis.pcall('GET', key)
  if type(kept) == 'table' then return {'broken', now} end
  wishes.message = wishes.message or newer(kept)
end
local function answered()
  local rank = req.again and req.again[1] .. ':' .. req.again[2] or head.epoch .. ':' .. head.offset + 1
  for _, target in ipairs(mine) do
    if not wishes[target] then redis.call('HSET', WISHES, target, rank) end
  end
  if #mine > 0 then redis.call('PEXPIRE', WISHES, WISH_TTL) end
  for _, key in ipairs(wishes.message and {} or about) do redis.call('SET', key, rank, 'PX', WISH_TTL) end
end
local function nothing()
  answered()
  return {'nothing', now, head.epoch, head.offset, head.seq}
end
if wishes.room or wishes.message then return nothing() end
if req.again and req.members and head.room and cjson.decode(head.room).deleted_at then return nothing() end

-- So does a change of the room.
if req.room_change then
  local version = cjson.decode(head.room).version
  if req.room_change.epoch ~= head.epoch or req.room_change.version ~= version then
    return {'moved', now}
  end
end

-- Of the users named, those the request is about: who is to come and is not in, to go and is, or to
-- have another role. `picked` holds them by what is done to them.
local function role_of(member) return member:match('^%a+') end
local IS_ABOUT = {
  join = function(one) return not one.was end,
  go = function(one) return one.was end,
  role = function(one) return one.was and role_of(one.was) ~= one.role end,
}
local count, picked = tonumber(head.shape:match('^%d+')), {join = {}, go = {}, role = {}}
for _, one in ipairs(req.members or {}) do
  one.was = redis.call('HGET', MEMBERS, one.user_id)
  if one.op == 'role' and not one.was and not req.again then return {'no_member', now} end
  if IS_ABOUT[one.op](one) and not wishes['member ' .. one.user_id] then table.insert(picked[one.op], one) end
end
if req.everybody then
  local members = redis.call('HGETALL', MEMBERS)
  for i = 1, #members, 2 do table.insert(picked.go, {user_id = members[i], was = members[i + 1]}) end
end
count = count + #picked.join - #picked.go
local settings
if req.settings and not wishes['settings ' .. req.actor] and redis.call('HEXISTS', MEMBERS, req.actor) == 1 then
  settings = changed_settings(req.actor, req.settings)
end
if (req.members and not req.absent and #picked.join + #picked.go + #picked.role == 0)
  or (#req.events == 0 and not settings) then
  return nothing()
end
if #picked.join > 0 and count > req.member_limit and not req.again then return {'limit', now} end
-- What the system repeats was judged when it was heard.
if #picked.go + #picked.role > 0 and req.roles then
  local owners, had = 0, false
  for _, stored in ipairs(redis.call('HVALS', MEMBERS)) do
    if role_of(stored) == 'owner' then owners, had = owners + 1, true end
  end
  for _, one in ipairs(picked.go) do
    if role_of(one.was) == 'owner' then
      if role ~= 'owner' then return {'forbidden', now} end
      owners = owners - 1
    end
  end
  for _, one in ipairs(picked.role) do
    if (one.role == 'owner' or role_of(one.was) == 'owner') and role ~= 'owner' then
      return {'forbidden', now}
    end
    owners = owners + (one.role == 'owner' and 1 or 0) - (role_of(one.was) == 'owner' and 1 or 0)
  end
  if had and owners == 0 and count > 0 then return {'last_owner', now} end
end

-- Sizes of the hot keys as they will be: every write answers how much it added or took.
local sizes = {}
for size in head.shape:gmatch('%d+') do sizes[#sizes + 1] = tonumber(size) end
local AT = {[MEMBERS] = 1, [CURSORS] = 2, [LOG] = 3, [SEQS] = 4, [CHANGED] = 5, [UNCOUNTED] = 6}
local function put(command, key, ...)
  local grown = redis.call(command, key, ...)
  sizes[AT[key]] = sizes[AT[key]] + (command == 'XADD' and 1 or grown)
end
local function take(command, key, ...)
  sizes[AT[key]] = sizes[AT[key]] - redis.call(command, key, ...)
end

local last_id = (head.last or '') ~= '' and cjson.decode(head.last).message_id

-- 4.-6. from here on: writes only
local ts = rfc3339(now)
local offset, seq, entries = head.offset, head.seq, {}
local read_on = 0  -- whether the sender had something unread, which his own message reads
local unhid = {}  -- whom his message brought the room back to
local typed = 0  -- whether the sender was typing, which his message ends; the room is to be told
local TYPING = (HEAD:gsub('head$', 'typing'))
local update = {}

local function list(candidates, text)
  local parts = {}
  for i, candidate in ipairs(candidates) do parts[i] = text(candidate) end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- Pieces are literal text and the numbers of slots that only this script can fill.
local slots = {}
local function fill(pieces)
  local parts = {}
  for i, piece in ipairs(pieces) do
    parts[i] = type(piece) == 'number' and slots[piece] or piece
  end
  return table.concat(parts)
end
local function user_ids(op)
  return list(picked[op], function(one) return cjson.encode(one.user_id) end)
end
-- A member's stored text with another role: behind the word that leads it, it is in the JSON once.
local function with_role(one)
  if one.op ~= 'role' then return one.was end
  return one.role .. ' ' .. one.was:match('^%a+ (.*)$'):gsub('"role":"%a+"', '"role":"' .. one.role .. '"', 1)
end
local function refresh(op)
  slots = {tostring(head.epoch), tostring(offset), tostring(seq), ts, tostring(count)}
  if not op then return end
  slots[6] = list(picked[op], function(one)
    if op == 'join' then return fill(one.pieces) end
    local cursors = redis.call('HMGET', CURSORS, 'r:' .. one.user_id, 'd:' .. one.user_id)
    return with_role(one):match('^%a+ (.*)}$') .. ',"read_seq":' .. (cursors[1] or 0)
      .. ',"delivered_seq":' .. (cursors[2] or 0) .. '}'
  end)
  slots[7] = user_ids(op)
end

local apply = {}
function apply.join(one)
  put('HSET', MEMBERS, one.user_id, one.role .. ' ' .. fill(one.stored))
  put('HSET', CURSORS, 'r:' .. one.user_id, seq, 'd:' .. one.user_id, seq)
end
function apply.go(one)
  take('HDEL', MEMBERS, one.user_id)
  take('HDEL', CURSORS, 'r:' .. one.user_id, 'd:' .. one.user_id, 'x:' .. one.user_id)
  hide(one.user_id, false)
  redis.call('PUBLISH', 'presence:' .. one.user_id, '-')  -- watches end with the last shared room
end
function apply.role(one)
  put('HSET', MEMBERS, one.user_id, with_role(one))
  tell_state(one.user_id, one.role, settings_of(one.user_id))
end

-- A member's settings change: the hash, the record, and a word to his devices. `rev` orders the changes
-- between two events of the room.
local function set(user_id, user_role, new)
  put('HSET', CURSORS, 'x:' .. user_id, new.rev .. ' ' .. new.muted .. ' ' .. new.hidden)
  hide(user_id, new.hidden == '1')
  local record = '{"v":1,"settings":' .. cjson.encode({room_id = req.room_id, user_id = user_id,
    epoch = head.epoch, offset = offset, rev = new.rev,
    muted = new.muted == '1', hidden = new.hidden == '1'}) .. '}'
  entries[#entries + 1] = redis.call('XADD', OUTBOX, '*', 'q', 'r', 'r', req.room_id,
    'e', head.epoch .. ':' .. offset, 'k', req.request_id, 'o', req.origin, 'd', record)
  tell_state(user_id, user_role, new)
end
-- A message of another brings a hidden room back.
local function unhide(sender)
  local hidden = head.hidden or ''
  head.hidden = ''
  for user_id in hidden:gmatch('%S+') do
    local member = redis.call('HGET', MEMBERS, user_id)
    if user_id == sender then
      head.hidden = sender
    elseif member then
      set(user_id, role_of(member), changed_settings(user_id, {hidden = false}))
      unhid[#unhid + 1] = user_id
    end
  end
end

local function remember(event, entry)
  if event.counts == false then put('ZADD', UNCOUNTED, seq, seq) end
  if event.last then update.last, update.last_ms = fill(event.last), now end
  if event.sender then
    note_id(req.request_id, seq)
    unhide(event.sender)
    if redis.pcall('ZREM', TYPING, event.sender) == 1 then
      typed = 1
      redis.pcall('HSET', TYPING .. ':told', 'due', 1)
    end
    local read = tonumber(redis.call('HGET', CURSORS, 'r:' .. event.sender) or -1)
    if read >= 0 then  -- an operator is no member, and has no cursor
      local behind = seq - 1 - read
      if behind > 0 and behind > redis.call('ZCOUNT', UNCOUNTED, '(' .. read, seq - 1) then read_on = 1 end
      put('HSET', CURSORS, 'r:' .. event.sender, seq, 'd:' .. event.sender, seq)
    end
  end
  if event.room then
    update.room, update.frozen = fill(event.room), event.frozen and '1' or '0'
  end
  if event.op and not event.takes_seq then
    for _, one in ipairs(picked[event.op]) do apply[event.op](one) end
  end
  if event.changes then
    local change = event.changes
    put('HSET', CHANGED, change.message_id,
      offset .. ' ' .. change.version .. ' ' .. entry .. ' ' .. fill(change.pieces))
    if last_id == change.message_id then update.last = fill(change.last) end
    if change.uncounted then put('ZADD', UNCOUNTED, change.uncounted, change.uncounted) end
  end
  if event.fails then
    put('ZADD', UNCOUNTED, event.fails.seq, event.fails.seq)
    put('HSET', CHANGED, event.fails.message_id, offset .. ' 0 ' .. entry .. ' {"failed":true}')
    if last_id == event.fails.message_id then update.last = '' end
    if redis.call('EXISTS', FAILED) == 1 then redis.call('HSET', FAILED, 'failed', 1) end
  end
end

local function write(event)
  offset = offset + 1
  if event.takes_seq then seq = seq + 1 end
  refresh(event.op)
  local text = fill(event.pieces)
  local id = head.epoch .. '-' .. offset
  if event.takes_seq then
    put('XADD', LOG, id, 'e', text, 't', now, 's', seq)
    put('ZADD', SEQS, seq, offset)
  elseif event.fails or event.changes then
    local changed = (event.fails or event.changes).message_id
    put('XADD', LOG, id, 'e', text, 't', now, 'm', changed)
  else
    put('XADD', LOG, id, 'e', text, 't', now)
  end
  local record = '{"v":' .. (event.v or 1) .. ',' .. (event.extra or '') .. '"event":' .. text .. '}'
  local fields = {'q', event.queue, 'r', req.room_id, 'e', head.epoch .. ':' .. offset,
    'k', req.request_id, 'o', req.origin, 'd', record}
  if (event.op == 'join' or event.op == 'go') and not event.takes_seq then
    local state = event.op == 'join' and ',"in"]' or ',"out"]'
    fields[#fields + 1] = 'u'
    fields[#fields + 1] = list(picked[event.op],
      function(one) return '[' .. cjson.encode(one.user_id) .. state end)
  end
  local entry = redis.call('XADD', OUTBOX, '*', unpack(fields))
  entries[#entries + 1] = entry
  remember(event, entry)
  redis.call('PUBLISH', req.channel, head.epoch .. ' ' .. offset .. ' ' .. event.type .. ' ' .. text)
end

-- Never inside the floor; beyond it, what is over the count or over the age.
local function trim()
  for _, entry in ipairs(redis.call('XRANGE', LOG, '-', '+', 'COUNT', 3)) do
    local fields = {}
    for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
    local age = now - tonumber(fields.t)
    if age < req.log_floor or (sizes[3] <= req.log_events and age < req.log_ttl) then break end
    local at = entry[1]:match('-(%d+)$')
    take('XDEL', LOG, entry[1])
    if fields.s then take('ZREM', SEQS, at) end
    if fields.m then
      local changed = redis.call('HGET', CHANGED, fields.m)
      if changed and changed:match('^%d+') == at then take('HDEL', CHANGED, fields.m) end
    end
  end
end

-- All hot keys expire at one moment, a full time after the last touch; a touch is written once a
-- minute, and for a key that is new.
local touched = tonumber(head.touched)
local function keep()
  local renew = now - touched > math.min(60000, req.log_ttl / 100)
  if renew then
    touched = now
    redis.call('PEXPIRE', HEAD, req.head_ttl)
    redis.call('PEXPIRE', IDS, req.head_ttl)
  end
  local i = 0
  for before in head.shape:gmatch('%d+') do
    i = i + 1
    if renew or (before == '0' and sizes[i] > 0) then
      redis.call('PEXPIREAT', HOT[i], touched + req.log_ttl)
    end
  end
end

refresh()
answered()
for _, event in ipairs(req.events) do
  if not event.op or #picked[event.op] > 0 then write(event) end
end
if req.expiry then  -- behind all messages of the room, by the same way
  entries[#entries + 1] = redis.call('XADD', OUTBOX, '*', 'q', 'm', 'r', req.room_id,
    'e', head.epoch .. ':' .. offset, 'k', req.request_id, 'o', req.origin, 'd', req.expiry)
end
if settings then set(req.actor, role_of(redis.call('HGET', MEMBERS, req.actor)), settings) end
trim()
keep()
local fields = {'offset', offset, 'seq', seq, 'shape', table.concat(sizes, ':'),
  'touched', touched, 'ttl', req.log_ttl, 'hidden', head.hidden or ''}
for name, value in pairs(update) do
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
redis.call('HSET', HEAD, unpack(fields))
local done = {}
for op, users in pairs(picked) do
  if #users > 0 then done[#done + 1] = '"' .. op .. '":' .. user_ids(op) end
end
local answer = '{' .. table.concat(done, ',') .. '}'
local ids = table.concat(entries, ' ')
redis.call('HSET', IDEM, 'epoch', head.epoch, 'offset', offset, 'seq', seq, 'ts', ts,
  'hash', req.hash, 'entries', ids, 'answer', answer, 'by', req.nonce:sub(1, 8))
redis.call('PEXPIRE', IDEM, req.idem_ttl)
return {'ok', now, head.epoch, offset, seq, ts, ids, answer, 'pending', read_on,
  settings and settings.rev or 0, table.concat(unhid, ' '), typed}
