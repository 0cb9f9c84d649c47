-- The user ids of all members, in no order; reads only. KEYS: 1-9 of fence.lua. Reply: state, then the ids.
-- The order of a list is the caller's: Lua compares texts by the locale of this Redis.
local state = fence(clock())
if state ~= 'warm' then return {state} end
return {state, unpack(redis.call('HKEYS', MEMBERS))}
