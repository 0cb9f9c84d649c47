-- Renew a claim that is still ours. KEYS: the claim. ARGV: our nonce, ms. Reply: 1, or 0 if it is not ours.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
