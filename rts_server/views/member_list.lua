-- Some members with their cursors; reads only. KEYS: 1-9 of fence.lua. ARGV: user ids, 1,000 at most.
-- Reply: state, then per user: text ('': not a member), read_seq, delivered_seq.
local state = fence(clock())
if state ~= 'warm' or #ARGV == 0 then return {state} end
local names = {}
for i, user in ipairs(ARGV) do names[2 * i - 1], names[2 * i] = 'r:' .. user, 'd:' .. user end
local texts = redis.call('HMGET', MEMBERS, unpack(ARGV))
local cursors = redis.call('HMGET', CURSORS, unpack(names))
local answer = {state}
for i = 1, #ARGV do
  answer[3 * i - 1] = texts[i] or ''
  answer[3 * i] = tonumber(cursors[2 * i - 1] or 0)
  answer[3 * i + 1] = tonumber(cursors[2 * i] or 0)
end
return answer
