-- The durability of an append as Redis knows it. KEYS: 1-9 of fence.lua, 10 its idempotency key.
local state, head = fence(clock())
local known = redis.pcall('HMGET', KEYS[10], 'entries', 'failed', 'offset')
if state == 'cold' or known.err or not known[1] then return 'lost' end
if known[2] then return 'failed' end
for entry in string.gmatch(known[1], '%S+') do
  if #redis.call('XRANGE', OUTBOX, entry, entry) > 0 then return 'pending' end
end
return 'queued'
