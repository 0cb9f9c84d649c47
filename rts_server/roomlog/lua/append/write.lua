-- Write one event: the hot log, the outbox entry, the state that follows from it, and the publish last, so that a
-- reader who receives the event finds it in the log (D4).

-- Where the event does not name the request, as a message does, `k` names it: its idempotency key goes with the event.
local function to_log(event, text, position)
  if event.allocates_seq then
    redis.call('XADD', LOG, position, 'e', text, 't', now, 's', seq)
    grow(IN_SEQS, redis.call('ZADD', SEQS, seq, offset))
  elseif event.fails or event.changes then
    redis.call('XADD', LOG, position, 'e', text, 't', now, 'm', (event.fails or event.changes).message_id,
      'k', req.request_id)
  else
    redis.call('XADD', LOG, position, 'e', text, 't', now, 'k', req.request_id)
  end
  grow(IN_LOG, 1)
end

-- How many members there are now goes with what changed them, so that nobody counts those of a cold room.
local function to_outbox(event, text, position)
  local counted = event.op and event.queue == 'r' and ',"member_count":' .. text_of(member_count) or ''
  local record = event.record .. text .. counted .. '}'
  local entry
  if (event.op == 'join' or event.op == 'go') and not event.allocates_seq then
    entry = enqueue('q', event.queue, 'r', req.room_id, 'e', position,
      'k', req.request_id, 'o', req.origin, 'd', record, 'u', users_moved(event.op))
  else
    entry = enqueue('q', event.queue, 'r', req.room_id, 'e', position,
      'k', req.request_id, 'o', req.origin, 'd', record)
  end
  entries[#entries + 1] = entry
  return entry
end

local function apply_event(event, entry)
  if event.counts == false then uncount(seq) end
  if event.last then
    set_in_head('last', fill(event.last))
    set_in_head('last_ms', now)
  end
  if event.sender then message_sent(event.sender) end
  if event.room then
    set_in_head('room', fill(event.room))
    set_in_head('frozen', event.frozen and '1' or '0')
  end
  if event.op and not event.allocates_seq then apply_to_members(event.op) end
  if event.changes then message_changed(event.changes, entry) end
  if event.fails then message_failed(event.fails, entry) end
end

-- The text of an event, whose template is filled.
local function event_text(event, epoch, at, at_seq)
  slots = {epoch, at, at_seq, ts, member_count}
  if event.op then
    if not event.allocates_seq then slots[6] = members_shown(event.op) end
    slots[7] = '[' .. table.concat(user_ids(event.op), ',') .. ']'
  end
  return fill(event.text)
end

-- The text of a plain message: all that only this script knows is in one place (append_call.py, _MESSAGE_MIDDLE).
local function message_text(epoch, at, at_seq)
  return req.text_begin .. '"ts":"' .. ts .. '","epoch":' .. epoch .. ',"offset":' .. at
    .. ',"data":{"message":{"seq":' .. at_seq .. ',"epoch":' .. epoch .. ',"created_at":"' .. ts .. '",' .. req.text_end
end
local function apply_message(at_seq)
  set_in_head('last', '{"seq":' .. at_seq .. ',"created_at":"' .. ts .. '",' .. req.last_end)
  set_in_head('last_ms', now)
  message_sent(req.actor)
end

local function write(event)
  offset = offset + 1
  if event.allocates_seq then seq = seq + 1 end
  local epoch, at, at_seq = text_of(head.epoch), text_of(offset), text_of(seq)
  local text = is_message and message_text(epoch, at, at_seq) or event_text(event, epoch, at, at_seq)
  to_log(event, text, epoch .. '-' .. at)
  local entry = to_outbox(event, text, epoch .. ':' .. at)
  if is_message then apply_message(at_seq) else apply_event(event, entry) end
  redis.call(PUBLISH, req.channel, epoch .. ' ' .. at .. ' ' .. event.type .. ' ' .. text)
  published = offset
end

-- The head, last of the room's keys: its sizes are what the next fence compares.
local function write_head()
  if head.ids_seq == head.seq then redis.call('HDEL', HEAD, 'ids_seq') end  -- it would have to move with the seq
  redis.call('HSET', HEAD, 'offset', offset, 'seq', seq, 'shape', shape_of(sizes),
    unpack(head_fields, 1, head_length))
end
