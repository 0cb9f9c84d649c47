-- Prepended, behind identity.lua, to the scripts of presence. KEYS are, in this order:
local FENCE, INSTANCES, DUE, ABOUT = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
-- ARGV begins with what the keys of users' entries, of instances' users and the channels begin with.
local USERS, OF, CHANNEL = ARGV[1], ARGV[2], ARGV[3]
local DAY = 86400000

-- An entry is a hash: `c:instance` → connections there, `state` as it was told last, `away`, `text`,
-- `last` (ms) and `v`, which ranks what was told.
local function entry_of(user)
  local entry = {}
  local fields = redis.call('HGETALL', USERS .. user)
  for i = 1, #fields, 2 do entry[fields[i]] = fields[i + 1] end
  return entry
end

-- Connections of the user on instances that live.
local function connections(entry, now)
  local all = 0
  for name, count in pairs(entry) do
    local instance = name:match('^c:(.*)$')
    local score = instance and redis.call('ZSCORE', INSTANCES, instance)
    if score and tonumber(score) > now then all = all + tonumber(count) end
  end
  return all
end
local function lives(entry, now) return connections(entry, now) > 0 end

local function publish(user, v, state, last, text)
  redis.call('PUBLISH', CHANNEL .. user, cjson.encode({v = v, state = state, last = last, text = text}))
end

-- A transition: kept and told in one step, so that it is told once.
local function tell(user, entry, state, now)
  local v = math.max(tonumber(entry.v or 0) + 1, now)
  redis.call('HSET', USERS .. user, 'state', state, 'v', v)
  publish(user, v, state, tonumber(entry.last or 0), entry.text or '')
end

-- 'ok' for an instance whose lease lives in this Redis; 'anew' when Redis lost what it knew of us.
local function standing(instance, token, now)
  local kept = redis.call('HMGET', FENCE, 'identity', 'token')
  if kept[1] ~= identity() or kept[2] ~= token then return 'anew' end
  local score = redis.call('ZSCORE', INSTANCES, instance)
  if not score or tonumber(score) <= now then return 'lapsed' end
  return 'ok'
end
