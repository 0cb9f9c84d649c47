-- The reply of a room that is not warm: one command at a time has the claim and loads the room.
-- A load ends the epoch. So the room must not become warm again without it, as one of a cluster would whose slot comes
-- back to the Redis that wrote it: from the claim on no Redis has written it (D1, D6).
local function claim()
  if redis.call('SET', CLAIM, req.nonce, 'NX', 'PX', req.limits.claim_ttl)
    -- Or the claim is ours already, and the reply that said so was lost.
    or redis.call('GET', CLAIM) == req.nonce then
    if redis.pcall('HEXISTS', HEAD, 'fence') == 1 then redis.call('HSET', HEAD, 'fence', '-') end
    return {'cold', now}
  end
  return {'loading', now}
end
