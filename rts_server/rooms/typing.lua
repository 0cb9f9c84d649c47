-- Start or stop typing, and publish the list of typing members with the ms each has left: a changed list at most
-- once per interval, an unchanged one again after half the time. The fence runs only before something is published.
-- KEYS: 1-9 of fence.lua, 10 typing members by their end (ms), 11 the published list (`at`, ms, and `names`) and
-- whether something is `due`.
-- ARGV: user id ('': only publish), whether they type (1|0), channel, ms that a start lasts, ms between two
-- lists, largest number of members in a room that is published to.
-- Reply: state ('not_found': the user is not a member), ms until the rest may be published (0: nothing is pending).
local now = clock()
local user, lasts, every = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local size, known = redis.pcall('HLEN', MEMBERS), redis.pcall('ZCARD', KEYS[10])
local kept = redis.pcall('HMGET', KEYS[11], 'at', 'names', 'due')
if type(size) == 'table' or type(known) == 'table' or kept.err then return {'broken', 0} end
if user ~= '' and redis.call('HEXISTS', MEMBERS, user) == 0 then return {'not_found', 0} end
if size > tonumber(ARGV[6]) then return {'large', 0} end

if user == '' then
  if not kept[3] then return {'unchanged', 0} end
elseif ARGV[2] == '1' then
  redis.call('ZADD', KEYS[10], now + lasts, user)
  redis.call('PEXPIRE', KEYS[10], lasts)
elseif redis.call('ZREM', KEYS[10], user) == 0 then
  return {'unchanged', 0}
end
redis.call('ZREMRANGEBYSCORE', KEYS[10], '-inf', now)
local typing, names = redis.call('ZRANGE', KEYS[10], 0, -1, 'WITHSCORES'), {}
for i = 1, #typing, 2 do names[#names + 1] = typing[i] end
table.sort(names)
local all = table.concat(names, ' ')
local may = tonumber(kept[1] or 0) + (all == kept[2] and lasts / 2 or every)
if now < may then
  redis.call('HSET', KEYS[11], 'due', 1)
  redis.call('PEXPIRE', KEYS[11], 2 * lasts)
  return {'due', math.ceil(may - now)}
end

local state, head = fence(now)
if state ~= 'warm' then return {state, 0} end
local listed = {}
for i = 1, #typing, 2 do
  if redis.call('HEXISTS', MEMBERS, typing[i]) == 1 then
    listed[#listed + 1] = cjson.encode(typing[i]) .. ':' .. (typing[i + 1] - now)
  end
end
redis.call('HDEL', KEYS[11], 'due')
redis.call('HSET', KEYS[11], 'at', now, 'names', all)
redis.call('PEXPIRE', KEYS[11], 2 * lasts)
redis.call(PUBLISH, ARGV[3],
  head.epoch .. ' ' .. head.offset .. ' ~typing.changed {' .. table.concat(listed, ',') .. '}')
return {state, 0}
