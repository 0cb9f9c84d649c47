-- Remove the connections of instances whose lease expired, and announce users as offline after their grace.
-- The first caller announces (E1). Then publish once more what was announced since the last sweep: Redis delivers a
-- publish at most once. ARGV: 4 instance, 5 token, 6 lease (ms), 7 grace (ms), 8 users per call at most.
-- Reply: {lease_state, number of announced users, whether there is more to do (0|1)}.
local now = clock()
local state = lease_state(ARGV[4], ARGV[5], now)
if state ~= 'ok' then return {state, 0, 0} end
local lease, grace, left = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
-- After a loss of data the instances have one lease to register again before anybody counts as gone (E3).
if now < tonumber(redis.call('HGET', FENCE, 'at')) + lease then return {state, 0, 0} end

local dead = redis.call('ZRANGEBYSCORE', INSTANCES, '-inf', now, 'WITHSCORES')
for i = 1, #dead, 2 do
  local instance, ended = dead[i], tonumber(dead[i + 1])
  for _, user in ipairs(redis.call('SPOP', OF .. instance, left)) do
    left = left - 1
    redis.call('HDEL', USERS .. user, 'c:' .. instance)
    local entry = entry_of(user)
    if not is_connected(entry, now) and entry.state and entry.state ~= 'offline' then
      redis.call('HSET', USERS .. user, 'last', math.max(tonumber(entry.last or 0), ended - lease))
      redis.call('ZADD', DUE, 'NX', ended + grace, user)
    end
  end
  if redis.call('SCARD', OF .. instance) > 0 then return {state, 0, 1} end
  redis.call('ZREM', INSTANCES, instance)
  redis.call('HDEL', ABOUT, instance)
end

local announced = 0
local due = redis.call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, left)
for _, user in ipairs(due) do
  redis.call('ZREM', DUE, user)
  local entry = entry_of(user)
  if not is_connected(entry, now) and entry.state and entry.state ~= 'offline' then
    redis.call('HDEL', USERS .. user, 'away')
    redis.call('PEXPIRE', USERS .. user, 30 * DAY)
    announce(user, entry, 'offline', now)
    announced = announced + 1
  end
end

local KEPT_MS, SAID_PER_CALL = 120000, 500
redis.call('ZREMRANGEBYSCORE', RECENT, '-inf', now - KEPT_MS)
local said = tonumber(redis.call('HGET', FENCE, 'said') or 0)
local recent = redis.call('ZRANGEBYSCORE', RECENT, said, '(' .. now, 'WITHSCORES', 'LIMIT', 0, SAID_PER_CALL)
for i = 1, #recent, 2 do
  local user = recent[i]
  local fields = redis.call('HMGET', USERS .. user, 'state', 'last', 'text', 'v')
  say(user, tonumber(fields[4] or now), fields[1] or 'offline', tonumber(fields[2] or 0), fields[3] or '')
end
local rest = #recent >= 2 * SAID_PER_CALL
if #recent > 0 then
  redis.call('HSET', FENCE, 'said', rest and math.max(tonumber(recent[#recent]), said + 1) or now)
end
return {state, announced, (#due >= left or rest) and 1 or 0}
