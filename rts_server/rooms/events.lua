-- The events of one epoch behind an offset, from the hot log; reads only.
-- KEYS: 1-9 of fence.lua. ARGV: epoch, offset, most events.
-- Answer: state, epoch, offset of the head, then events as they were published; state 'gone' when
-- the hot log does not reach back to the event behind the offset, or the epoch is another.
local state, head = fence(clock())
if state ~= 'warm' then return {state} end
local epoch, offset = tonumber(ARGV[1]), tonumber(ARGV[2])
if epoch ~= head.epoch or offset > head.offset then return {'gone', head.epoch, head.offset} end
local answer = {state, head.epoch, head.offset}
if offset == head.offset then return answer end
local entries = redis.call('XRANGE', LOG, '(' .. epoch .. '-' .. offset, '+', 'COUNT', ARGV[3])
if #entries == 0 or entries[1][1] ~= epoch .. '-' .. (offset + 1) then
  return {'gone', head.epoch, head.offset}
end
for i, entry in ipairs(entries) do
  answer[i + 3] = (entry[1]:gsub('-', ' ')) .. ' ' .. entry[2][2]
end
return answer
