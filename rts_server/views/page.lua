-- Messages by seq from the hot log; reads only.
-- KEYS: 1-9 of fence.lua. ARGV: user id ('' for an operator), low seq (exclusive), high seq (exclusive, or +inf),
-- most, newest|oldest.
-- Reply: state, epoch, seq of the head, starts, lowest seq in the hot log (0: none), then the
-- message.new events as JSON, from the wanted end. 'not_found': the user is not a member.
local state, head = fence(clock())
if state ~= 'warm' then return {state} end
if ARGV[1] ~= '' and redis.call('HEXISTS', MEMBERS, ARGV[1]) == 0 then return {'not_found'} end
local first = redis.call('ZRANGE', SEQS, 0, 0, 'WITHSCORES')
local answer = {state, head.epoch, head.seq, head.starts or '[]', tonumber(first[2] or 0)}
local low, high = '(' .. ARGV[2], ARGV[3] == '+inf' and '+inf' or '(' .. ARGV[3]
local offsets
if ARGV[5] == 'newest' then
  offsets = redis.call('ZREVRANGEBYSCORE', SEQS, high, low, 'LIMIT', 0, ARGV[4])
else
  offsets = redis.call('ZRANGEBYSCORE', SEQS, low, high, 'LIMIT', 0, ARGV[4])
end
for _, offset in ipairs(offsets) do
  local id = head.epoch .. '-' .. offset
  answer[#answer + 1] = redis.call('XRANGE', LOG, id, id)[1][2][2]
end
return answer
