-- Ids of the archive into the filter, while the room is as it was when they were read.
-- KEYS: 1-9 of fence.lua. ARGV: epoch, whether these are the last (0|1), then id and seq of each.
local state, head = fence(clock())
local begun = redis.pcall('BITFIELD', ids_key(), 'GET', 'u2', 0)
if state ~= 'warm' or head.epoch ~= tonumber(ARGV[1]) or begun.err or begun[1] < BEGUN then return 0 end
for i = 3, #ARGV, 2 do note_id(ARGV[i], tonumber(ARGV[i + 1])) end
if ARGV[2] == '1' then redis.call('BITFIELD', ids_key(), 'SET', 'u2', 0, COMPLETE) end
return 1
