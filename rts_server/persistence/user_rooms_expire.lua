-- Prepended. An index with no room "in" goes by itself: anybody can be named or come, and it is rebuilt when asked for.
local function expire_if_empty(key, ms)
  for _, value in ipairs(redis.call('HVALS', key)) do
    if value:match(':in$') then
      redis.call('PERSIST', key)
      return
    end
  end
  redis.call('PEXPIRE', key, ms)
end
