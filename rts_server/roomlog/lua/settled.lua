-- Whether the archive has all that was ever queued of a room that is not warm.
-- KEYS: 1-9 of fence.lua, 10 what is known of this, 11 the generation of the partition.
-- ARGV: room id, origin, nonce, record of a barrier ('' to ask only), the nonce of a barrier that was
-- seen stored ('' for none), ms until another barrier is sent, ms a head lives.
-- Answer: 'warm'; 'expired', epoch, offset: all of it expired on time, and the head still tells where;
-- 'settled'; 'waits', nonce: it is, once this barrier is stored; 'loading': it will be warm; 'unknown'.
local now = clock()
local state, head = fence(now)
if state == 'warm' then return {state} end
if state == 'expired' then return {state, head.epoch, head.offset} end

-- No head, and longer in memory than one lives: nothing was written for as long.
local memory, born = generation(KEYS[11], now, identity())
if redis.call('EXISTS', HEAD) == 0 and now - born >= tonumber(ARGV[7]) then return {'settled'} end

local known = redis.pcall('GET', KEYS[10])
if type(known) == 'table' then known = nil end
if known == memory then return {'settled'} end
local nonce = known and known:sub(1, #memory + 1) == memory .. ' ' and known:sub(#memory + 2)
if nonce and nonce == ARGV[5] then
  redis.call('SET', KEYS[10], memory, 'PX', ARGV[7])
  return {'settled'}
end
if nonce then return {'waits', nonce} end
-- A barrier of ours would hide that of whoever loads the room.
if redis.call('EXISTS', CLAIM) == 1 then return {'loading'} end
if ARGV[4] == '' then return {'unknown'} end
redis.call('XADD', OUTBOX, '*', 'q', 'm', 'r', ARGV[1], 'k', ARGV[3], 'o', ARGV[2], 'b', ARGV[3], 'd', ARGV[4])
redis.call('SET', KEYS[10], memory .. ' ' .. ARGV[3], 'PX', ARGV[6])
return {'waits', ARGV[3]}
