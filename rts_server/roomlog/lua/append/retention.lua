-- How long the hot keys keep what was written.

local function fields_of(entry)
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  return fields
end

-- A change in the hot log stays beside it (CHANGED) until it leaves the log, unless a later one replaced it.
local function forget_change(message_id, at)
  local changed = redis.call('HGET', CHANGED, message_id)
  if changed and changed:match('^%d+') == at then grow(IN_CHANGED, -redis.call('HDEL', CHANGED, message_id)) end
end

-- Trim the hot log: never below the floor's age; beyond it, what is over the count or the maximum age. That is
-- looked at once in `stride` events, a sixteenth of the count, and three times as many are trimmed at most.
local function trim()
  local stride = math.min(32, math.floor(req.limits.log_events / 16) + 1)
  if math.floor(offset / stride) == math.floor(head.offset / stride) then return end
  local surplus = sizes[IN_LOG] - req.limits.log_events
  local function is_kept(fields, trimmed)
    local age = now - tonumber(fields.t)
    return age < req.limits.log_floor or (trimmed >= surplus and age < req.limits.log_ttl)
  end
  local oldest = redis.call('XRANGE', LOG, '-', '+', 'COUNT', 1)[1]
  if is_kept(fields_of(oldest), 0) then return end
  local ids, offsets = {}, {}
  for _, entry in ipairs(redis.call('XRANGE', LOG, '-', '+', 'COUNT', 3 * stride)) do
    local fields, at = fields_of(entry), entry[1]:match('-(%d+)$')
    if is_kept(fields, #ids) then break end
    ids[#ids + 1] = entry[1]
    if fields.s then offsets[#offsets + 1] = at end
    if fields.m then forget_change(fields.m, at) end
  end
  grow(IN_LOG, -redis.call('XDEL', LOG, unpack(ids)))
  if #offsets > 0 then grow(IN_SEQS, -redis.call('ZREM', SEQS, unpack(offsets))) end
end

-- All hot keys expire at one moment, `ttl` after the last touch, so that a room expires as a whole. A touch is
-- written once a minute, and the moment is set for a key that is new.
local function prolong()
  local renew = now - head.touched > math.min(60000, req.limits.log_ttl / 100)
  if not (renew or next(new_keys)) then return end
  local touched, ttl
  if renew then
    touched, ttl = now, req.limits.log_ttl
    set_in_head('touched', touched)
    set_in_head('ttl', ttl)
    redis.call('PEXPIRE', HEAD, req.limits.head_ttl)
    redis.call('PEXPIRE', ids_key(), req.limits.head_ttl)
  else
    touched, ttl = head.touched, hot_ttl()
  end
  for i, key in ipairs({MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED}) do
    if new_keys[i] or (renew and sizes[i] > 0) then redis.call('PEXPIREAT', key, touched + ttl) end
  end
end
