-- Renew, take or release the lease on one partition of a cluster.
-- KEYS: 1 the lease. ARGV: 1 relay, 2 ttl (ms; 0 releases).
-- Reply: 1 if the relay holds it, 0 if not.
local owner = redis.pcall('GET', KEYS[1])
if type(owner) == 'string' and owner ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
