-- Prepended. An index with no room "in" expires, because anybody can add any user id to a room. It is rebuilt when
-- it is read again.
local function expire_if_empty(key, ms)
  for _, value in ipairs(redis.call('HVALS', key)) do
    if value:match(':in$') then
      redis.call('PERSIST', key)
      return
    end
  end
  redis.call('PEXPIRE', key, ms)
end
