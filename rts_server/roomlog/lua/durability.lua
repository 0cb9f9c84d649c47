-- The durability of an append as Redis knows it. KEYS: 1-9 of fence.lua, 10 its idempotency key.
local state = fence(clock())
local known = result_in(KEYS[10])
if state == 'cold' or not known then return 'lost' end
if known.failed then return 'failed' end
return are_waiting(known.entries) and 'pending' or 'queued'
