-- The common part of the presence scripts; identity.lua comes before it. KEYS, in this order:
local FENCE, INSTANCES, DUE, ABOUT, RECENT = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
-- ARGV begins with the prefixes of the keys of users, of the users of an instance, and of the channels.
local USERS, OF, CHANNEL = ARGV[1], ARGV[2], ARGV[3]
local DAY = 86400000

-- The entry of a user is a hash: `c:instance` → connections there, `state` as announced last, `away`, `text`,
-- `last` (ms: last activity) and `v` (version of the announcement; the higher one wins).
local function entry_of(user)
  local entry = {}
  local fields = redis.call('HGETALL', USERS .. user)
  for i = 1, #fields, 2 do entry[fields[i]] = fields[i + 1] end
  return entry
end

-- The number of connections of a user on all instances with a valid lease.
local function connections(entry, now)
  local all = 0
  for name, count in pairs(entry) do
    local instance = name:match('^c:(.*)$')
    local score = instance and redis.call('ZSCORE', INSTANCES, instance)
    if score and tonumber(score) > now then all = all + tonumber(count) end
  end
  return all
end
local function is_connected(entry, now) return connections(entry, now) > 0 end

local function say(user, v, state, last, text)
  redis.call(PUBLISH, CHANNEL .. user, cjson.encode({v = v, state = state, last = last, text = text}))
end

-- Publish now, and once more with the next sweep.
local function publish(user, v, state, last, text, now)
  redis.call('ZADD', RECENT, now, user)
  say(user, v, state, last, text)
end

-- Set and publish a new state. Both happen in one step, so that each change is announced once (E1).
local function announce(user, entry, state, now)
  local v = math.max(tonumber(entry.v or 0) + 1, now)
  redis.call('HSET', USERS .. user, 'state', state, 'v', v)
  publish(user, v, state, tonumber(entry.last or 0), entry.text or '', now)
end

-- The state of an instance's lease: 'ok', 'lapsed' (it has expired) or 'anew' (Redis lost its data: register again).
local function lease_state(instance, token, now)
  local kept = redis.call('HMGET', FENCE, 'identity', 'token')
  if kept[1] ~= identity() or kept[2] ~= token then return 'anew' end
  local score = redis.call('ZSCORE', INSTANCES, instance)
  if not score or tonumber(score) <= now then return 'lapsed' end
  return 'ok'
end
