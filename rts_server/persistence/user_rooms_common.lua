-- Prepended to what writes an index.

-- Whether a position is newer than that of a stored room, `epoch:offset:in|out` (nil: there is none).
local function is_newer(known, epoch, offset)
  if not known then return true end
  local e, o = known:match('^(%d+):(%d+)')
  e, o = tonumber(e), tonumber(o)
  return epoch > e or (epoch == e and offset > o)
end

-- An index with no room "in" expires, because anybody can add any user id to a room. It is rebuilt when it is read
-- again.
local function expire_if_empty(key, ms)
  for _, value in ipairs(redis.call('HVALS', key)) do
    if value:match(':in$') then
      redis.call('PERSIST', key)
      return
    end
  end
  redis.call('PEXPIRE', key, ms)
end
