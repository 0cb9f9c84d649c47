-- Let a room stay in Redis, as one of its members connected.
-- KEYS: 1-9 of fence.lua. ARGV: ms that it stays. Reply: 1, or 0 for a room that is not warm.
local now = clock()
if fence(now) ~= 'warm' then return 0 end
redis.call('HSET', HEAD, 'renewed', now)
for _, key in ipairs({HEAD, MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED}) do
  redis.call('PEXPIRE', key, ARGV[1])
end
return 1
