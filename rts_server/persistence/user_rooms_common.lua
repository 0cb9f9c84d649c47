-- Prepended to what writes an index.

-- Whether a position is newer than that of a stored room, `epoch:offset:in|out` (nil: there is none).
local function is_newer(known, epoch, offset)
  if not known then return true end
  local e, o = known:match('^(%d+):(%d+)')
  e, o = tonumber(e), tonumber(o)
  return epoch > e or (epoch == e and offset > o)
end

-- An index expires, and is rebuilt when it is read again: soon with no room "in", because anybody can add any user id
-- to a room.
local function expire(key, empty_ms, ms)
  for _, value in ipairs(redis.call('HVALS', key)) do
    if value:match(':in$') then
      redis.call('PEXPIRE', key, ms)
      return
    end
  end
  redis.call('PEXPIRE', key, empty_ms)
end
