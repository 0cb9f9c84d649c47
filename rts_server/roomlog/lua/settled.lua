-- Find out whether the archive has all that was ever queued for a room that is not warm; send a barrier.
-- KEYS: 1-9 of fence.lua, 10 the settled key, 11 the generation of the partition.
-- ARGV: room id, origin, nonce, record of a barrier ('' to send none), nonce of a barrier that was found stored
-- ('' for none), ms until another barrier is sent, ms that a room lives.
-- Reply: 'warm' | 'settled' | 'waits', nonce (settled once this barrier is stored) | 'loading' (somebody loads the room) | 'unknown' (no barrier was sent).
-- The settled key holds `generation` once the queue was drained, `generation nonce` while a barrier is on its way;
-- under another generation, so after a loss of Redis, it means nothing.
local now = clock()
local state = fence(now)
if state == 'warm' then return {state} end

-- Redis has had no head of the room for longer than a room lives, and lost nothing meanwhile: nothing was
-- written for as long.
local current, born = generation(KEYS[11], now, identity())
if redis.call('EXISTS', HEAD) == 0 and now - born >= tonumber(ARGV[7]) then return {'settled'} end

local known = redis.pcall('GET', KEYS[10])
if type(known) == 'table' then known = nil end
if known == current then return {'settled'} end
local nonce = known and known:sub(1, #current + 1) == current .. ' ' and known:sub(#current + 2)
if nonce and nonce == ARGV[5] then
  redis.call('SET', KEYS[10], current, 'PX', ARGV[7])
  return {'settled'}
end
if nonce then return {'waits', nonce} end
-- The room's item shows its last barrier only: ours would replace that of the instance that loads the room.
if redis.call('EXISTS', CLAIM) == 1 then return {'loading'} end
if ARGV[4] == '' then return {'unknown'} end
-- Entry before key: a nonce in the key promises that its barrier is in the outbox.
enqueue('q', 'm', 'r', ARGV[1], 'k', ARGV[3], 'o', ARGV[2], 'b', ARGV[3], 'd', ARGV[4])
redis.call('SET', KEYS[10], current .. ' ' .. ARGV[3], 'PX', ARGV[6])
return {'waits', ARGV[3]}
