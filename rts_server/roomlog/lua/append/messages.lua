-- What follows from an event about a message.

-- A member's message reads the room for them up to itself. An operator is no member, and has no cursor.
local function move_cursor_of(sender)
  local is_member = role and sender == req.actor or redis.call('HEXISTS', CURSORS, 'r:' .. sender) == 1
  if is_member then grow(IN_CURSORS, redis.call('HSET', CURSORS, 'r:' .. sender, seq, 'd:' .. sender, seq)) end
end

local function end_typing_of(sender)
  if not somebody_types then return end
  local typing = KEY_PREFIX .. 'typing'
  if redis.pcall('ZREM', typing, sender) == 1 then
    typing_ended = 1
    redis.pcall('HSET', typing .. ':told', 'due', 1)
  end
end

local function message_sent(sender)
  local base, begins = current_filter(head, now, req.limits.idem_ttl)
  if begins then set_in_head('ids', head.ids) end
  note_in(ids_key(), req.request_id, seq - base)
  if head.hidden ~= '' then unhide(sender) end
  end_typing_of(sender)
  move_cursor_of(sender)
end

-- A message that counts as unread for nobody.
local function uncount(its_seq) grow(IN_UNCOUNTED, redis.call('ZADD', UNCOUNTED, its_seq, its_seq)) end

local function is_last_message(message_id)
  local last = redis.call('HGET', HEAD, 'last')
  return last and last ~= '' and cjson.decode(last).message_id == message_id
end

-- A value of CHANGED is `offset version entry message`, see keys.py.
local function message_changed(change, entry)
  local newest = offset .. ' ' .. change.version .. ' ' .. entry .. ' ' .. fill(change.text)
  grow(IN_CHANGED, redis.call('HSET', CHANGED, change.message_id, newest))
  if is_last_message(change.message_id) then set_in_head('last', fill(change.last)) end
  if change.uncounted then uncount(change.uncounted) end
end

local function message_failed(failed, entry)
  uncount(failed.seq)
  grow(IN_CHANGED,
    redis.call('HSET', CHANGED, failed.message_id, offset .. ' 0 ' .. entry .. ' {"failed":true}'))
  if is_last_message(failed.message_id) then set_in_head('last', '') end
  note_failure(FAILED)
end
