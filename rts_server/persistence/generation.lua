-- The memory that is speaking and since when (ms): another Redis, or the same one emptied, is another.
-- Kept with each partition, so that a shard that lost its own part is found too.
local function generation(key, now, me)
  local kept = redis.pcall('GET', key)
  local born = type(kept) == 'string' and kept:match('^' .. me .. ' (%d+)$')
  if not born then
    born = tostring(now)
    redis.call('SET', key, me .. ' ' .. born)
  end
  return me .. ' ' .. born, tonumber(born)
end
