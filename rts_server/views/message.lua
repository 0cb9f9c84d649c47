-- One message from the hot log; reads only.
-- KEYS: 1-9 of fence.lua, 10 idempotency key of its send. ARGV: user id ('' for an operator), message id.
-- Reply: state, epoch, then 'changed' and its newest state, or 'new' and its message.new event, and
-- whether that still waits in the outbox (0|1). Neither if the hot log does not hold the message: read the
-- archive. 'not_found': the user is not a member.
local state, head = fence(clock())
if state ~= 'warm' then return {state} end
if ARGV[1] ~= '' and redis.call('HEXISTS', MEMBERS, ARGV[1]) == 0 then return {'not_found'} end
local function waits(entries) return are_waiting(entries) and 1 or 0 end
local changed = redis.call('HGET', CHANGED, ARGV[2])
if changed then
  local entry, text = changed:match('^%d+ %d+ (%S+) (.*)$')
  return {state, head.epoch, 'changed', text, waits(entry)}
end
local sent = result_in(KEYS[10])
if not sent or sent.epoch ~= tostring(head.epoch) then return {state, head.epoch} end
local id = sent.epoch .. '-' .. sent.offset
local entry = redis.call('XRANGE', LOG, id, id)[1]
if not entry then return {state, head.epoch} end
return {state, head.epoch, 'new', entry[2][2], waits(sent.entries)}
