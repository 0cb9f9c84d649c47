-- A member's own settings of the room; kept as `rev muted hidden`.
local function settings_of(user_id)
  local kept = redis.call('HGET', CURSORS, 'x:' .. user_id) or '0 0 0'
  local rev, muted, hidden = kept:match('^(%d+) (%d) (%d)$')
  return {rev = tonumber(rev), muted = muted, hidden = hidden}
end

-- The settings after a change, nil when it changes nothing.
local function settings_after(user_id, change)
  local before, new = settings_of(user_id), {}
  for _, name in ipairs({'muted', 'hidden'}) do
    new[name] = before[name]
    if change[name] ~= nil then new[name] = change[name] and '1' or '0' end
  end
  new.rev = before.rev + 1
  if new.muted ~= before.muted or new.hidden ~= before.hidden then return new end
end

-- Members who have hidden the room, as words in the head, so that a message need not read every member.
local function hide(user_id, hidden)
  local words = {}
  for word in head.hidden:gmatch('%S+') do
    if word ~= user_id then words[#words + 1] = word end
  end
  if hidden then words[#words + 1] = user_id end
  head.hidden = table.concat(words, ' ')
  set_in_head('hidden', head.hidden)
end

-- Publish a member's settings and role to their devices: on the room's channel, as no other one is in this slot, at the
-- last event that was published, so that who removed them earlier is heard before (A2).
local function publish_state(user_id, user_role, one)
  local event = cjson.encode({type = 'room.state', ts = ts, room_id = req.room_id,
    data = {muted = one.muted == '1', hidden = one.hidden == '1', role = user_role}})
  redis.call(PUBLISH, req.channel, head.epoch .. ' ' .. published .. ' ~room.state@' .. user_id .. ' ' .. event)
end

-- Change a member's settings: the hash, the record, and an event to that user's devices. `rev` orders changes
-- between two events of the room.
local function change_settings(user_id, user_role, new)
  grow(IN_CURSORS, redis.call('HSET', CURSORS, 'x:' .. user_id, new.rev .. ' ' .. new.muted .. ' ' .. new.hidden))
  hide(user_id, new.hidden == '1')
  local record = '{"v":1,"settings":' .. cjson.encode({room_id = req.room_id, user_id = user_id,
    epoch = head.epoch, offset = offset, rev = new.rev,
    muted = new.muted == '1', hidden = new.hidden == '1'}) .. '}'
  entries[#entries + 1] = enqueue('q', 'r', 'r', req.room_id,
    'e', head.epoch .. ':' .. offset, 'k', req.request_id, 'o', req.origin, 'd', record)
  publish_state(user_id, user_role, new)
end

-- A message brings the room back for members who have hidden it, except for its sender.
local function unhide(sender)
  for user_id in head.hidden:gmatch('%S+') do
    local member = user_id ~= sender and redis.call('HGET', MEMBERS, user_id)
    if member then
      change_settings(user_id, member:match('^%a+'), settings_after(user_id, {hidden = false}))
    end
  end
end
