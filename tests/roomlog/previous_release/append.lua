-- Append to a room's log: it writes all events of a request or none. Only the load of a
-- room (install.lua) writes another event, room.epoch.
--
-- KEYS     1-9 as in fence.lua; 10 the idempotency key of this request; 11, of message.failed only, that
--          of the message.
-- ARGV[1]  the request as JSON: see append_call in script.py.
-- Reply    {outcome, now (ms), ...}; script.py gives the rest its names:
--   ok         epoch, offset, seq, ts, entries, affected, status, sender_read_advanced, settings_rev,
--              unhidden_for, typing_ended
--   duplicate  epoch, offset, seq, ts, entries, affected, status, nonce: the first result, as it is now
--   nothing    epoch, offset, seq: everything was so already
--   cold       state (cold or expired): the caller has the claim and loads the room
--   loading    somebody else loads it          behind  epoch: it is later than max_epoch
--   ask        epoch, ids, seq: ask the archive     exists  is_member: a creation met the room
--   late       the deadline has passed         moved   the state that the request was built on is stale
--   superseded intents (JSON): some of a replay's; it comes again without them
--   conflict, not_found, forbidden, frozen, direct, no_member, last_owner, limit, full, broken: refused
--
-- The order keeps the guarantees:
--   1. The fence comes before idempotency: in a half-lost room a remembered result may be of an epoch
--      whose events are gone (D1, D6, T12).
--   2. Idempotency comes before the guards: a retry gets its first result even if its sender was
--      removed since (D7).
--   3. Guards, intents and the choice of affected members: they read and refuse, and write nothing but
--      the ranks of intents (`note_intents`), in a key that no guard of another request refuses by.
--   4. Per event: the hot log, the outbox entry, the state that follows from the event, and the publish
--      last, so that a reader who receives the event finds it in the log (D4).
--   5. The head with the new sizes of the hot keys (`shape`), which the next fence compares.
--   6. The idempotency key last: it promises that everything before it was written (D1).
-- Redis runs a script as a whole, but undoes nothing if it fails halfway, so reads whose key may have a
-- wrong type come before the first write, and answer 'broken'. Between the writes only keys are read
-- whose type and size the fence has checked, or by pcall.
local req = cjson.decode(ARGV[1])
local IDEM, FAILED = KEYS[10], KEYS[11]
local now = clock()

-- 1. The fence.
local state, head = fence(now)
if state ~= 'warm' then
  -- Or the claim is ours already, and the reply that said so was lost.
  if redis.call('SET', CLAIM, req.nonce, 'NX', 'PX', req.claim_ttl)
    or redis.call('GET', CLAIM) == req.nonce then
    return {'cold', now, state}
  end
  return {'loading', now}
end

-- 2. Idempotency: the first result, with its status as it is now.
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

-- What the origin appended in an earlier epoch may be lost, and must be replayed first (D3).
if req.max_epoch and req.max_epoch < head.epoch then return {'behind', now, head.epoch} end

-- A member's own settings of the room; kept as `rev muted hidden`.
local function settings_of(user_id)
  local kept = redis.call('HGET', CURSORS, 'x:' .. user_id) or '0 0 0'
  local rev, muted, hidden = kept:match('^(%d+) (%d) (%d)$')
  return {rev = tonumber(rev), muted = muted, hidden = hidden}
end
-- The settings after a change, nil when it changes nothing.
local function settings_after(user_id, change)
  local now_, new = settings_of(user_id), {}
  for _, name in ipairs({'muted', 'hidden'}) do
    new[name] = now_[name]
    if change[name] ~= nil then new[name] = change[name] and '1' or '0' end
  end
  new.rev = now_.rev + 1
  if new.muted ~= now_.muted or new.hidden ~= now_.hidden then return new end
end
-- Members who have hidden the room, as words in the head, so that a message need not read every member.
local function hide(user_id, hidden)
  local words = {}
  for word in (head.hidden or ''):gmatch('%S+') do
    if word ~= user_id then words[#words + 1] = word end
  end
  if hidden then words[#words + 1] = user_id end
  head.hidden = table.concat(words, ' ')
end
local function publish_state(user_id, user_role, one)
  local event = cjson.encode({type = 'room.state', ts = rfc3339(now), room_id = req.room_id,
    data = {muted = one.muted == '1', hidden = one.hidden == '1', role = user_role}})
  redis.call('PUBLISH', user_channel(user_id), cjson.encode(
    {kind = 'event', namespace = '/chat', type = 'room.state', text = event}))
end

-- 3. Guards.
local waiting = redis.pcall('XLEN', OUTBOX)  -- pcall returns an error as a table
if type(waiting) == 'table' then return {'broken', now} end
if now > req.deadline then return {'late', now} end
if waiting >= req.outbox_cap then return {'full', now} end
if req.must_not_exist then
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
elseif not (req.replay_of or req.must_not_exist or req.change) and cjson.decode(head.room).deleted_at then
  return {'not_found', now}
end
if req.group_only and not req.replay_of and cjson.decode(head.room).type ~= 'group' then
  return {'direct', now}
end
if req.roles then
  if not req.roles[role] then return {'forbidden', now} end
  local held = head.frozen == '1' and not req.allow_frozen
  if held and role ~= 'owner' and role ~= 'admin' then return {'frozen', now} end
end
-- Idempotency keys expire, and begin anew with the room's load: for an older id the archive is asked (D7).
if req.check_archive and now >= tonumber(head.ids_until or 0) then
  local seen = seen_id(req.request_id, head.seq)
  if seen ~= 'new' then return {'ask', now, head.epoch, seen, head.seq} end
end

-- A change of a message is built on the state its author read.
if req.change then
  local changed = redis.call('HGET', CHANGED, req.change.message_id)
  local version = changed and tonumber(changed:match('^%d+ (%d+)'))
  if req.change.epoch ~= head.epoch or (version and version ~= req.change.version) then
    return {'moved', now}
  end
end
-- Latest acknowledged intent per target: whether a user is a member, a member's role, and one field of a
-- member's settings, of the room or of a message. A replay (`replay_of`: where it was lost) must not
-- overwrite an intent that was acknowledged later (D8), and must append all others (D1).
-- Ranks are kept as `epoch:offset`; those of messages have a key each, all others a field of one hash.
local INTENTS = (HEAD:gsub('head$', 'wishes'))
local INTENT_TTL = 1000000
local superseded, room_targets, message_keys = {}, {}, {}
-- The targets that an operation on a member decides, by op (join: add, go: remove, role: change the role). A role
-- decides that its user is a member, too; an addition decides a role only if it adds (see below).
local DECIDES = {join = {'member '}, go = {'member ', 'role '}, role = {'member ', 'role '}}
for _, one in ipairs(req.members or {}) do
  for _, name in ipairs(DECIDES[one.op]) do room_targets[#room_targets + 1] = name .. one.user_id end
end
for _, intent in ipairs(req.intents or {}) do
  if req.change then
    message_keys[intent] = (HEAD:gsub('head$', 'wish:')) .. intent
  else
    room_targets[#room_targets + 1] = intent
  end
end
local function is_newer(rank)
  if not (rank and req.replay_of) then return false end
  local epoch, offset = rank:match('^(%d+):(%d+)$')
  epoch, offset = tonumber(epoch) or 0, tonumber(offset) or 0
  return epoch > req.replay_of[1] or (epoch == req.replay_of[1] and offset > req.replay_of[2])
end
if #room_targets > 0 then
  local ranks = redis.pcall('HMGET', INTENTS, unpack(room_targets))
  if ranks.err then return {'broken', now} end
  for i, target in ipairs(room_targets) do superseded[target] = is_newer(ranks[i]) end
end
for intent, key in pairs(req.replay_of and message_keys or {}) do
  local rank = redis.pcall('GET', key)
  if type(rank) == 'table' then return {'broken', now} end
  superseded[intent] = is_newer(rank)
end
local function note_intents()
  local rank = req.replay_of and req.replay_of[1] .. ':' .. req.replay_of[2] or head.epoch .. ':' .. head.offset + 1
  for _, target in ipairs(room_targets) do
    if not superseded[target] then redis.call('HSET', INTENTS, target, rank) end
  end
  if #room_targets > 0 then redis.call('PEXPIRE', INTENTS, INTENT_TTL) end
  for intent, key in pairs(message_keys) do
    if not superseded[intent] then redis.call('SET', key, rank, 'PX', INTENT_TTL) end
  end
end
local function nothing()
  note_intents()
  return {'nothing', now, head.epoch, head.offset, head.seq}
end
local newer = {}
for _, intent in ipairs(req.intents or {}) do
  if superseded[intent] then newer[#newer + 1] = intent end
end
if #newer > 0 and #newer == #req.intents then return nothing() end
-- Its events hold the superseded fields as well, so it is built without them and comes again.
if #newer > 0 then return {'superseded', now, cjson.encode(newer)} end
if req.replay_of and req.members and head.room and cjson.decode(head.room).deleted_at then return nothing() end

-- A change of the room is built on the state its author read, too.
if req.room_change then
  local version = cjson.decode(head.room).version
  if req.room_change.epoch ~= head.epoch or req.room_change.version ~= version then
    return {'moved', now}
  end
end

-- The named users whom the request affects, by op: users to add who are not in, members to remove who are,
-- members whose role is another. IS_ABOUT says whether an operation would change its user.
local function role_of(member) return member:match('^%a+') end
local IS_ABOUT = {
  join = function(one) return not one.was end,
  go = function(one) return one.was end,
  role = function(one) return one.was and role_of(one.was) ~= one.role end,
}
local count, affected = tonumber(head.shape:match('^%d+')), {join = {}, go = {}, role = {}}
for _, one in ipairs(req.members or {}) do
  one.was = redis.call('HGET', MEMBERS, one.user_id)
  if one.op == 'role' and not one.was and not req.replay_of then return {'no_member', now} end
  local decided = (one.op == 'role' and 'role ' or 'member ') .. one.user_id
  if IS_ABOUT[one.op](one) and not superseded[decided] then
    table.insert(affected[one.op], one)
    if one.op == 'join' then room_targets[#room_targets + 1] = 'role ' .. one.user_id end
  end
end
if req.remove_everybody then
  local members = redis.call('HGETALL', MEMBERS)
  for i = 1, #members, 2 do table.insert(affected.go, {user_id = members[i], was = members[i + 1]}) end
end
count = count + #affected.join - #affected.go
local settings
if req.settings and redis.call('HEXISTS', MEMBERS, req.actor) == 1 then
  settings = settings_after(req.actor, req.settings)
end
if (req.members and not req.must_not_exist and #affected.join + #affected.go + #affected.role == 0)
  or (#req.events == 0 and not settings) then
  return nothing()
end
if #affected.join > 0 and count > req.member_limit and not req.replay_of then return {'limit', now} end
-- Roles are not checked for a replay: they were when the append was accepted.
if #affected.go + #affected.role > 0 and req.roles then
  local owners, had = 0, false
  for _, stored in ipairs(redis.call('HVALS', MEMBERS)) do
    if role_of(stored) == 'owner' then owners, had = owners + 1, true end
  end
  for _, one in ipairs(affected.go) do
    if role_of(one.was) == 'owner' then
      if role ~= 'owner' then return {'forbidden', now} end
      owners = owners - 1
    end
  end
  for _, one in ipairs(affected.role) do
    if (one.role == 'owner' or role_of(one.was) == 'owner') and role ~= 'owner' then
      return {'forbidden', now}
    end
    owners = owners + (one.role == 'owner' and 1 or 0) - (role_of(one.was) == 'owner' and 1 or 0)
  end
  if had and owners == 0 and count > 0 then return {'last_owner', now} end
end

-- Sizes of the hot keys as they will be: each write replies how much it added or removed.
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

-- 4. The events.
local ts = rfc3339(now)
local offset, seq, entries = head.offset, head.seq, {}
local sender_read_advanced = 0  -- 1 if the sender had unread messages, which their own message reads
local unhidden_for = {}  -- members for whom the message brought the hidden room back
local typing_ended = 0  -- 1 if the sender was typing, which the message ends
local TYPING = (HEAD:gsub('head$', 'typing'))
local update = {}

local function list(candidates, text)
  local parts = {}
  for i, candidate in ipairs(candidates) do parts[i] = text(candidate) end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- Segments are literal text and the numbers of slots that only this script can fill; Slot in template.py has their
-- names: 6 is the members and 7 the user ids that an event is about.
local slots = {}
local function fill(segments)
  local parts = {}
  for i, segment in ipairs(segments) do
    parts[i] = type(segment) == 'number' and slots[segment] or segment
  end
  return table.concat(parts)
end
local function user_ids(op)
  return list(affected[op], function(one) return cjson.encode(one.user_id) end)
end
-- A member's stored text with the new role: it leads the text, and is in the JSON behind it once.
local function with_role(one)
  if one.op ~= 'role' then return one.was end
  return one.role .. ' ' .. one.was:match('^%a+ (.*)$'):gsub('"role":"%a+"', '"role":"' .. one.role .. '"', 1)
end
local function refresh(op)
  slots = {tostring(head.epoch), tostring(offset), tostring(seq), ts, tostring(count)}
  if not op then return end
  slots[6] = list(affected[op], function(one)
    if op == 'join' then return fill(one.segments) end
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
  publish_state(one.user_id, one.role, settings_of(one.user_id))
end

-- Change a member's settings: the hash, the record, and an event to that user's devices. `rev` orders changes
-- between two events of the room.
local function change_settings(user_id, user_role, new)
  put('HSET', CURSORS, 'x:' .. user_id, new.rev .. ' ' .. new.muted .. ' ' .. new.hidden)
  hide(user_id, new.hidden == '1')
  -- The fields of outbox entries are listed in keys.py (`outbox`).
  local record = '{"v":1,"settings":' .. cjson.encode({room_id = req.room_id, user_id = user_id,
    epoch = head.epoch, offset = offset, rev = new.rev,
    muted = new.muted == '1', hidden = new.hidden == '1'}) .. '}'
  entries[#entries + 1] = redis.call('XADD', OUTBOX, '*', 'q', 'r', 'r', req.room_id,
    'e', head.epoch .. ':' .. offset, 'k', req.request_id, 'o', req.origin, 'd', record)
  publish_state(user_id, user_role, new)
end
-- A message brings the room back for members who have hidden it, except for its sender.
local function unhide(sender)
  local hidden = head.hidden or ''
  head.hidden = ''
  for user_id in hidden:gmatch('%S+') do
    local member = redis.call('HGET', MEMBERS, user_id)
    if user_id == sender then
      head.hidden = sender
    elseif member then
      change_settings(user_id, role_of(member), settings_after(user_id, {hidden = false}))
      unhidden_for[#unhidden_for + 1] = user_id
    end
  end
end

-- The state that follows from an event.
local function apply_event(event, entry)
  if event.counts == false then put('ZADD', UNCOUNTED, seq, seq) end
  if event.last then update.last, update.last_ms = fill(event.last), now end
  if event.sender then
    note_id(req.request_id, seq)
    unhide(event.sender)
    if redis.pcall('ZREM', TYPING, event.sender) == 1 then
      typing_ended = 1
      redis.pcall('HSET', TYPING .. ':told', 'due', 1)
    end
    local read = tonumber(redis.call('HGET', CURSORS, 'r:' .. event.sender) or -1)
    if read >= 0 then  -- an operator is no member, and has no cursor
      local behind = seq - 1 - read
      if behind > 0 and behind > redis.call('ZCOUNT', UNCOUNTED, '(' .. read, seq - 1) then sender_read_advanced = 1 end
      put('HSET', CURSORS, 'r:' .. event.sender, seq, 'd:' .. event.sender, seq)
    end
  end
  if event.room then
    update.room, update.frozen = fill(event.room), event.frozen and '1' or '0'
  end
  if event.op and not event.allocates_seq then
    for _, one in ipairs(affected[event.op]) do apply[event.op](one) end
  end
  if event.changes then  -- a value of CHANGED is `offset version entry message`, see keys.py
    local change = event.changes
    put('HSET', CHANGED, change.message_id,
      offset .. ' ' .. change.version .. ' ' .. entry .. ' ' .. fill(change.segments))
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
  if event.allocates_seq then seq = seq + 1 end
  refresh(event.op)
  local text = fill(event.segments)
  local id = head.epoch .. '-' .. offset
  if event.allocates_seq then
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
  if (event.op == 'join' or event.op == 'go') and not event.allocates_seq then
    local state = event.op == 'join' and ',"in"]' or ',"out"]'
    fields[#fields + 1] = 'u'
    fields[#fields + 1] = list(affected[event.op],
      function(one) return '[' .. cjson.encode(one.user_id) .. state end)
  end
  local entry = redis.call('XADD', OUTBOX, '*', unpack(fields))
  entries[#entries + 1] = entry
  apply_event(event, entry)
  redis.call('PUBLISH', req.channel, head.epoch .. ' ' .. offset .. ' ' .. event.type .. ' ' .. text)
end

-- Trim the hot log: never below the floor's age; beyond it, what is over the count or the maximum age.
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

-- All hot keys expire at one moment, log_ttl after the last touch, so that a room expires as a whole. A touch
-- is written once a minute, and for a key that is new.
local touched = tonumber(head.touched)
local function prolong()
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
note_intents()
for _, event in ipairs(req.events) do
  if not event.op or #affected[event.op] > 0 then write(event) end
end
if req.expiry then  -- behind all messages of the room, through the same queue
  entries[#entries + 1] = redis.call('XADD', OUTBOX, '*', 'q', 'm', 'r', req.room_id,
    'e', head.epoch .. ':' .. offset, 'k', req.request_id, 'o', req.origin, 'd', req.expiry)
end
if settings then change_settings(req.actor, role_of(redis.call('HGET', MEMBERS, req.actor)), settings) end
trim()
prolong()
local fields = {'offset', offset, 'seq', seq, 'shape', table.concat(sizes, ':'),
  'touched', touched, 'ttl', req.log_ttl, 'hidden', head.hidden or ''}
for name, value in pairs(update) do
  fields[#fields + 1] = name
  fields[#fields + 1] = value
end
-- 5. The head.
redis.call('HSET', HEAD, unpack(fields))
local done = {}
for op, users in pairs(affected) do
  if #users > 0 then done[#done + 1] = '"' .. op .. '":' .. user_ids(op) end
end
local answer = '{' .. table.concat(done, ',') .. '}'
local ids = table.concat(entries, ' ')
-- 6. The idempotency key.
redis.call('HSET', IDEM, 'epoch', head.epoch, 'offset', offset, 'seq', seq, 'ts', ts,
  'hash', req.hash, 'entries', ids, 'answer', answer, 'by', req.nonce:sub(1, 8))
redis.call('PEXPIRE', IDEM, req.idem_ttl)
return {'ok', now, head.epoch, offset, seq, ts, ids, answer, 'pending', sender_read_advanced,
  settings and settings.rev or 0, table.concat(unhidden_for, ' '), typing_ended}
