-- Read what was added since a position. Prepended: identity.lua. KEYS: 1 the set, see revoked_note.lua.
-- ARGV: 1 the known position ('': none), 2 the most to return (above 3), 3 a nonce to leave for who reads the table,
-- 4 ms in which that is left to this reader.
-- Reply: {state, position, user, revoked_before, …}. 'more': further ones follow that position. 'all': these are all.
-- 'due': these are all, and this reader has to compare the set with the table. 'lost': the set may be incomplete; what
-- the table has not yet will follow the position.
local BEGUN = '200000000000000'
local BEFORE_ALL_CHANGES = '100000000000000' -- above any time
local KEY = KEYS[1]
local here = identity()
local mark = '#complete ' .. here
local complete, version = redis.pcall('ZSCORE', KEY, mark), redis.pcall('ZSCORE', KEY, '#ver')
local function position(number) return here .. ' ' .. number end

local is_set = type(complete) == 'string' and type(version) == 'string'
if not is_set or version ~= redis.call('ZSCORE', KEY, '#noted') then
  if type(redis.pcall('ZADD', KEY, BEGUN, '#begun ' .. ARGV[3])) == 'table' then
    redis.call('DEL', KEY)
    return {'lost', ''}
  end
  -- What another release added is in the table, which is read after this.
  redis.call('ZREM', KEY, mark)
  version = redis.call('ZSCORE', KEY, '#ver')
  if not version then return {'lost', ''} end
  redis.call('ZADD', KEY, version, '#noted')
  return {'lost', position(version)}
end

local known = ARGV[1]:match('^(%S+) %d+$') == here and ARGV[1]:match('%d+$') or BEFORE_ALL_CHANGES
local answer, users, last = {'all', position(version)}, {}, nil
local most = tonumber(ARGV[2])
local found = redis.call('ZRANGEBYSCORE', KEY, '(' .. known, version, 'WITHSCORES', 'LIMIT', 0, most)
for i = 1, #found, 2 do
  local user = found[i]:match('^c:(.*)$')
  if user then users[#users + 1], last = user, found[i + 1] end
end
for _, user in ipairs(users) do
  local before = redis.call('ZSCORE', KEY, 'u:' .. user)
  if before then answer[#answer + 1], answer[#answer + 2] = user, before end
end
if #found == 2 * most then
  answer[1], answer[2] = 'more', position(last)
elseif tonumber(complete) < clock() then
  answer[1] = 'due'
  redis.call('ZADD', KEY, BEGUN, '#begun ' .. ARGV[3])
  redis.call('ZADD', KEY, clock() + ARGV[4], mark)
end
return answer
