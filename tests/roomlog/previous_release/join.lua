-- A snapshot of a room and of some users' views of it; reads only.
-- KEYS: 1-9 of fence.lua. ARGV: user ids.
-- Reply: state, epoch, offset, seq, room, last, last_ms, members, starts, then per user
-- member text ('' if not a member), read_seq, delivered_seq, how many messages above read_seq are
-- uncounted (see domain/unread.py), settings ('' or `rev muted hidden`).
local state, head = fence(clock())
if state ~= 'warm' then return {state} end
local answer = {state, head.epoch, head.offset, head.seq, head.room or '', head.last or '',
  tonumber(head.last_ms or 0), redis.call('HLEN', MEMBERS), head.starts or '[]'}
for _, user_id in ipairs(ARGV) do
  local member = redis.call('HGET', MEMBERS, user_id)
  local cursors = redis.call('HMGET', CURSORS, 'r:' .. user_id, 'd:' .. user_id, 'x:' .. user_id)
  local read = tonumber(cursors[1] or 0)
  answer[#answer + 1] = member or ''
  answer[#answer + 1] = read
  answer[#answer + 1] = tonumber(cursors[2] or 0)
  answer[#answer + 1] = redis.call('ZCOUNT', UNCOUNTED, '(' .. read, '+inf')
  answer[#answer + 1] = cursors[3] or ''
end
return answer
