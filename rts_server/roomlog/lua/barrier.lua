-- Add a barrier behind everything that waits in the outbox, if the claim is still ours.
-- KEYS: 1-9 of fence.lua. ARGV: room_id, nonce, origin, record, claim ttl (ms).
if redis.call('GET', CLAIM) ~= ARGV[2] then return 0 end
enqueue('q', 'm', 'r', ARGV[1], 'k', ARGV[2], 'o', ARGV[3], 'b', ARGV[2], 'd', ARGV[4])
redis.call('PEXPIRE', CLAIM, ARGV[5])
return 1
