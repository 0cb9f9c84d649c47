-- The reply of a room that is not warm: one command at a time has the claim and loads the room.
local function claim()
  if redis.call('SET', CLAIM, req.nonce, 'NX', 'PX', req.limits.claim_ttl)
    -- Or the claim is ours already, and the reply that said so was lost.
    or redis.call('GET', CLAIM) == req.nonce then
    return {'cold', now}
  end
  return {'loading', now}
end
