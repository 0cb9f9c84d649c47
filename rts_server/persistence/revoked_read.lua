-- Read all revocations, if they changed. Prepended: identity.lua. KEYS: 1 the set, see revoked_note.lua.
-- ARGV: 1 the known version, 2 a nonce to leave if the set must be rebuilt.
-- Reply: {state, version, user, revoked_before, …}. 'all': everything follows. 'same': nothing changed.
-- 'lost': the set may be incomplete.
local KEY = KEYS[1]
local here = identity()
local complete = redis.pcall('ZSCORE', KEY, '#complete ' .. here)
local version = redis.pcall('ZSCORE', KEY, '#ver')
if type(complete) ~= 'string' or type(version) ~= 'string' or tonumber(complete) < clock() then
  if type(redis.pcall('ZADD', KEY, 2e14, '#begun ' .. ARGV[2])) == 'table' then
    redis.call('DEL', KEY)
  end
  return {'lost', ''}
end
version = here .. ' ' .. version
if version == ARGV[1] then return {'same', version} end
local answer, found = {'all', version}, redis.call('ZRANGE', KEY, 0, -1, 'WITHSCORES')
for i = 1, #found, 2 do
  local user = found[i]:match('^u:(.*)$')
  if user then
    answer[#answer + 1] = user
    answer[#answer + 1] = found[i + 1]
  end
end
return answer
