-- What was told of some users; reads only. ARGV: 4 lease (ms), 5.. users. Answer: whether a loss is so recent that
-- who is not known may still come back (0|1), then per user state ('' when not known), last (ms, 0 for never), text, v.
local now = clock()
local kept = redis.call('HMGET', FENCE, 'identity', 'at')
local recent = kept[1] ~= identity() or now < tonumber(kept[2]) + ARGV[4]
local answer = {recent and 1 or 0}
for i = 5, #ARGV do
  local told = redis.call('HMGET', USERS .. ARGV[i], 'state', 'last', 'text', 'v')
  answer[#answer + 1] = told[1] or ''
  answer[#answer + 1] = tonumber(told[2] or 0)
  answer[#answer + 1] = told[3] or ''
  answer[#answer + 1] = tonumber(told[4] or now)
end
return answer
