-- Latest acknowledged intent per target: whether a user is a member, a member's role and name, and one field of a
-- member's settings, of the room or of a message. A replay (`replay_of`: where it was lost) must not
-- overwrite an intent that was acknowledged later (D8), and must append all others (D1).
-- Ranks are kept as `epoch:offset`; those of messages have a key each, all others a field of one hash.
local INTENT_TTL = 1000000
local function intents_key() return KEY_PREFIX .. 'wishes' end

local function is_newer(rank)
  if not (rank and more.replay_of) then return false end
  local epoch, at = rank:match('^(%d+):(%d+)$')
  epoch, at = tonumber(epoch) or 0, tonumber(at) or 0
  return epoch > more.replay_of[1] or (epoch == more.replay_of[1] and at > more.replay_of[2])
end

-- Find the targets of the request, and those of them that a later intent decided. Returns 'broken' or nil.
local function read_intents()
  superseded, room_targets, message_keys = {}, {}, {}
  -- What an operation on a member decides, by op. A role decides that its user is a member, too; a name
  -- does not, as it follows the user into every room. An addition decides role and name only if it adds
  -- (choose_members).
  local decides = {join = {'member '}, go = {'member ', 'role '}, role = {'member ', 'role '}, name = {'name '}}
  for _, one in ipairs(more.members or {}) do
    for _, name in ipairs(decides[one.op]) do room_targets[#room_targets + 1] = name .. one.user_id end
  end
  for _, intent in ipairs(more.intents or {}) do
    if more.change then
      message_keys[intent] = KEY_PREFIX .. 'wish:' .. intent
    else
      room_targets[#room_targets + 1] = intent
    end
  end
  if #room_targets > 0 then
    local ranks = redis.pcall('HMGET', intents_key(), unpack(room_targets))
    if ranks.err then return {'broken', now} end
    for i, target in ipairs(room_targets) do superseded[target] = is_newer(ranks[i]) end
  end
  for intent, key in pairs(more.replay_of and message_keys or {}) do
    local rank = redis.pcall('GET', key)
    if type(rank) == 'table' then return {'broken', now} end
    superseded[intent] = is_newer(rank)
  end
end

-- Note the request's position, or that of what it replays, as the latest intent of its targets. That is no
-- write that another request could be refused by.
local function note_intents()
  local rank = more.replay_of and more.replay_of[1] .. ':' .. more.replay_of[2]
    or head.epoch .. ':' .. head.offset + 1
  for _, target in ipairs(room_targets) do
    if not superseded[target] then redis.call('HSET', intents_key(), target, rank) end
  end
  if #room_targets > 0 then redis.call('PEXPIRE', intents_key(), INTENT_TTL) end
  for intent, key in pairs(message_keys) do
    if not superseded[intent] then redis.call('SET', key, rank, 'PX', INTENT_TTL) end
  end
end

-- Everything was so already.
local function nothing()
  note_intents()
  return {'nothing', now, head.epoch, head.offset, head.seq}
end

-- The reply to a replay that later intents supersede, as a whole or in part; nil if none does.
local function superseded_by_later_intents()
  local newer = {}
  for _, intent in ipairs(more.intents or {}) do
    if superseded[intent] then newer[#newer + 1] = intent end
  end
  if #newer > 0 and #newer == #more.intents then return nothing() end
  -- Its events hold the superseded fields as well, so it is built without them and comes again.
  if #newer > 0 then return {'superseded', now, cjson.encode(newer)} end
  if more.replay_of and more.members and room() and room().deleted_at then return nothing() end
end
