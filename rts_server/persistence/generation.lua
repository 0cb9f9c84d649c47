-- The generation of a partition: the identity of this Redis, and since when (ms) it has held its data. It changes
-- if another Redis takes over or if the data is lost. It is kept per partition, because a shard can lose its own.
local function generation(key, now, me)
  local kept = redis.pcall('GET', key)
  local born = type(kept) == 'string' and kept:match('^' .. me .. ' (%d+)$')
  if not born then
    born = tostring(now)
    redis.call('SET', key, me .. ' ' .. born)
  end
  return me .. ' ' .. born, tonumber(born)
end
