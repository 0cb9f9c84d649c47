-- Read the announced presence of users. ARGV: 4 lease (ms), 5.. users.
-- Reply: {recent, state, last, text, v, …}. recent (0|1): Redis lost its data less than a lease ago, so an unknown
-- user may still be online. Per user: state ('' if unknown), last (ms, 0 for never), text, v.
local now = clock()
local kept = redis.call('HMGET', FENCE, 'identity', 'at')
local recent = kept[1] ~= identity() or now < tonumber(kept[2]) + ARGV[4]
local answer = {recent and 1 or 0}
for i = 5, #ARGV do
  local fields = redis.call('HMGET', USERS .. ARGV[i], 'state', 'last', 'text', 'v')
  answer[#answer + 1] = fields[1] or ''
  answer[#answer + 1] = tonumber(fields[2] or 0)
  answer[#answer + 1] = fields[3] or ''
  answer[#answer + 1] = tonumber(fields[4] or now)
end
return answer
