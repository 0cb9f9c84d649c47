-- Publish an event that is not stored, at the head of the room. Only a member may.
-- KEYS: 1-9 of fence.lua. ARGV: user id, channel, type, text. Answer: state, or 'not_found'.
local state, head = fence(clock())
if state ~= 'warm' then return state end
if redis.call('HEXISTS', MEMBERS, ARGV[1]) == 0 then return 'not_found' end
redis.call(PUBLISH, ARGV[2], head.epoch .. ' ' .. head.offset .. ' ~' .. ARGV[3] .. ' ' .. ARGV[4])
return state
