-- The floor of what a message costs Redis: fence, idempotency, membership, log, outbox, head, publish; nothing else.
-- KEYS: head, members, log, outbox, idempotency key. ARGV: sender, room id, channel, message id, origin, three
-- pieces of the event around its position and its time, ms that the idempotency key lives.
local info = redis.call('INFO', 'replication')
local head = redis.call('HMGET', KEYS[1], 'epoch', 'offset', 'seq', 'fence', 'touched')
if info:match('master_replid:(%w+)') ~= head[4] then return {'cold'} end
if redis.call('EXISTS', KEYS[5]) == 1 then return {'duplicate'} end
if not redis.call('HGET', KEYS[2], ARGV[1]) then return {'not_found'} end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local epoch, offset, seq = head[1], head[2] + 1, head[3] + 1
local text = ARGV[6] .. epoch .. ',"offset":' .. offset .. ',"seq":' .. seq .. ARGV[7] .. now .. ARGV[8]
redis.call('XADD', KEYS[3], epoch .. '-' .. offset, 'e', text, 't', now, 's', seq)
redis.call('XADD', KEYS[4], '*', 'q', 'm', 'r', ARGV[2], 'e', epoch .. ':' .. offset, 'k', ARGV[4], 'o', ARGV[5],
  'd', text)
redis.call('HSET', KEYS[1], 'offset', offset, 'seq', seq, 'last', ARGV[4], 'last_ms', now)
redis.call('SET', KEYS[5], epoch .. ' ' .. offset .. ' ' .. seq, 'PX', ARGV[9])
redis.call('PUBLISH', ARGV[3], epoch .. ' ' .. offset .. ' message.new ' .. text)
return {'ok', now, epoch, offset, seq}
