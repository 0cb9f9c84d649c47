-- Release a claim that is still ours, in one step: between a GET and a DEL another could take it.
-- KEYS: the claim. ARGV: our nonce.
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
