-- Every member with their cursors; reads only. KEYS: 1-9 of fence.lua.
-- Reply: state, then per member: text, read_seq, delivered_seq.
local state = fence(clock())
if state ~= 'warm' then return {state} end
local answer = {state}
local members = redis.call('HGETALL', MEMBERS)
for i = 1, #members, 2 do
  local cursors = redis.call('HMGET', CURSORS, 'r:' .. members[i], 'd:' .. members[i])
  answer[#answer + 1] = members[i + 1]
  answer[#answer + 1] = tonumber(cursors[1] or 0)
  answer[#answer + 1] = tonumber(cursors[2] or 0)
end
return answer
