-- Ids of the archive into the filter before the written one, while the filters are as they were when they were read.
-- KEYS: 1-9 of fence.lua. ARGV: field `ids` of the head, whether these are the last (0|1), then id and seq of each.
local state, head = fence(clock())
local base, before = filters(head)
local begun = redis.pcall('BITFIELD', ids_before_key(), 'GET', 'u2', 0)
if state ~= 'warm' or not before or head.ids ~= ARGV[1] or begun.err or begun[1] < BEGUN then return 0 end
for i = 3, #ARGV, 2 do
  local number = ARGV[i + 1] - before
  if number > 0 and number <= base - before then note_in(ids_before_key(), ARGV[i], number) end
end
if ARGV[2] == '1' then redis.call('BITFIELD', ids_before_key(), 'SET', 'u2', 0, WHOLE) end
return 1
