-- The newest states of messages that were changed within the hot log; reads only.
-- KEYS: 1-9 of fence.lua. ARGV: message ids. Answer: state, then per id its state as JSON ('' if unchanged).
local state = fence(clock())
if state ~= 'warm' then return {state} end
local answer = {state}
for i, text in ipairs(redis.call('HMGET', CHANGED, unpack(ARGV))) do
  answer[i + 1] = text and text:match('^%d+ %d+ %S+ (.*)$') or ''
end
return answer
