-- Renew, take and release leases on groups of partitions in one step, so that relays share them evenly.
-- KEYS: 1 the relays, 2.. the lease of each group. ARGV: 1 relay, 2 ttl (ms; 0 releases all).
-- Reply: {identity of this Redis, numbers of the held groups …}; group 0 is KEYS[2].
local relay, ttl = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local target = 0
if ttl > 0 then
  redis.call('ZADD', KEYS[1], now + ttl, relay)
  redis.call('PEXPIRE', KEYS[1], ttl)
  target = math.ceil((#KEYS - 1) / redis.call('ZCARD', KEYS[1]))
else
  redis.call('ZREM', KEYS[1], relay)
end

local held, free = {}, {}
for i = 2, #KEYS do
  local owner = redis.pcall('GET', KEYS[i])
  if owner == relay then
    if #held < target then
      redis.call('PEXPIRE', KEYS[i], ttl)
      held[#held + 1] = i - 2
    else
      redis.call('DEL', KEYS[i])
    end
  elseif not owner or type(owner) == 'table' then
    free[#free + 1] = i
  end
end
for _, i in ipairs(free) do
  if #held >= target then break end
  redis.call('SET', KEYS[i], relay, 'PX', ttl)
  held[#held + 1] = i - 2
end

local info = redis.call('INFO', 'server', 'replication')
return {info:match('run_id:(%w+)') .. ':' .. info:match('master_replid:(%w+)'), unpack(held)}
