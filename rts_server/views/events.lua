-- The events of one epoch after an offset, from the hot log; reads only.
-- KEYS: 1-9 of fence.lua. ARGV: epoch, offset, most events, most bytes, user id ('': do not check membership).
-- Reply: state, epoch, offset of the head, then `epoch offset event` as far as the bounds allow, at
-- least one. 'gone': the hot log does not reach back to the offset, or the room has another epoch.
-- 'not_found': the user is not a member. The check and the read are one step: no event after a
-- removal is ever returned to the removed user (A2).
local state, head = fence(clock())
if state ~= 'warm' then return {state} end
if ARGV[5] ~= '' and redis.call('HEXISTS', MEMBERS, ARGV[5]) == 0 then return {'not_found'} end
local epoch, offset, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[4])
if epoch ~= head.epoch or offset > head.offset then return {'gone', head.epoch, head.offset} end
local answer = {state, head.epoch, head.offset}
if offset == head.offset then return answer end
local entries = redis.call('XRANGE', LOG, '(' .. epoch .. '-' .. offset, '+', 'COUNT', ARGV[3])
if #entries == 0 or entries[1][1] ~= epoch .. '-' .. (offset + 1) then
  return {'gone', head.epoch, head.offset}
end
for i, entry in ipairs(entries) do
  most = most - #entry[2][2]
  if most < 0 and i > 1 then break end
  answer[i + 3] = (entry[1]:gsub('-', ' ')) .. ' ' .. entry[2][2]
end
return answer
