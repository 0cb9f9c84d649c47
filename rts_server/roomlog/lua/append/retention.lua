-- How long the hot keys keep what was written. Events leave the hot log by trim.lua, which needs to know what the
-- archive has; here it is only noted when to look.
local TRIM_STRIDE = 32  -- events; once in so many the size of the log is looked at

-- Note a time at which the hot log may have to be trimmed, if none is noted ('NX') or a later one ('LT').
local function trim_at(time, condition)
  redis.pcall('ZADD', OUTBOX:gsub('outbox$', 'trims'), condition, time, req.room_id)
end

-- A log that grows is trimmed before its events have the age at which all are. MEMORY USAGE looks at five nodes only.
local function note_size()
  if offset % TRIM_STRIDE >= offset - head.offset then return end  -- no multiple of it was passed
  if redis.call('MEMORY', 'USAGE', LOG) > req.limits.log_bytes then
    trim_at(now, 'LT')
  elseif sizes[IN_LOG] > req.limits.log_events + TRIM_STRIDE then
    trim_at(now + req.limits.log_floor, 'LT')
  end
end

-- All keys of a room expire at one moment, `ttl` after the last touch, so that a room expires as a whole. A touch is
-- written once a minute, and the moment is set for a key that is new.
local function prolong()
  local renew = now - head.touched > math.min(60000, req.limits.room_ttl / 100)
  if not (renew or new_keys) then return end
  local touched, ttl
  if renew then
    touched, ttl = now, req.limits.room_ttl
    set_in_head('touched', touched)
    set_in_head('ttl', ttl)
    redis.call('PEXPIREAT', HEAD, touched + ttl)
    redis.call('PEXPIRE', ids_key(), req.limits.idem_ttl + 180000)
    trim_at(now + req.limits.log_age, 'NX')
  else
    touched, ttl = head.touched, hot_ttl()
  end
  for i, key in ipairs({MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED}) do
    if (new_keys and new_keys[i]) or (renew and sizes[i] > 0) then redis.call('PEXPIREAT', key, touched + ttl) end
  end
end
