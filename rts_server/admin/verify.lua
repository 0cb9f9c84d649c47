-- Read the messages of the hot log, and send a barrier behind their records.
-- KEYS: 1-9 of fence.lua. ARGV: room id, nonce, record of the barrier ('' for none).
-- Reply: state, epoch, offset, seq, then per event 'new' and its JSON, and per changed message 'changed' and
-- [message id, offset, state] as JSON.
local state, head = fence(clock())
if state ~= 'warm' then return {state} end
local answer = {state, head.epoch, head.offset, head.seq}
for _, entry in ipairs(redis.call('XRANGE', LOG, '-', '+')) do
  local fields = {}
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  if fields.s then
    answer[#answer + 1] = 'new'
    answer[#answer + 1] = fields.e
  end
end
local changed = redis.call('HGETALL', CHANGED)
for i = 1, #changed, 2 do
  local offset, state_ = changed[i + 1]:match('^(%d+) %d+ %S+ (.*)$')
  answer[#answer + 1] = 'changed'
  answer[#answer + 1] = cjson.encode({changed[i], tonumber(offset), state_})
end
if ARGV[3] ~= '' then
  enqueue('q', 'm', 'r', ARGV[1], 'k', ARGV[2], 'o', '', 'b', ARGV[2], 'd', ARGV[3])
end
return answer
