-- The members whom a request affects: {op, user_id, …} as sent, `was`: the member's stored text before.
local function role_of(member) return member:match('^%a+') end

-- `affected`: the users really affected, by op: users to add who are not in, members to remove who are, members
-- whose role or name is another. `member_count`: how many members there will be.
local function user_ids(op)
  local ids = {}
  for i, one in ipairs(affected[op]) do ids[i] = cjson.encode(one.user_id) end
  return ids
end

-- The users of whom something was changed, as JSON: {op: [user id, …], …}.
local function affected_users()
  local done = {}
  for op, users in pairs(affected or {}) do
    if #users > 0 then done[#done + 1] = '"' .. op .. '":[' .. table.concat(user_ids(op), ',') .. ']' end
  end
  return '{' .. table.concat(done, ',') .. '}'
end

-- A member's stored text after the operation: the role leads the text, and is in the JSON behind it once; the name
-- is the last field of the JSON, if there is one (a quote within a text is escaped, so no text looks like the field).
local function text_after(one)
  if one.op == 'role' then
    return one.role .. ' ' .. one.was:match('^%a+ (.*)$'):gsub('"role":"%a+"', '"role":"' .. one.role .. '"', 1)
  elseif one.op == 'name' then
    local named = one.was:find(',"name":"', 1, true) or #one.was
    return one.was:sub(1, named - 1) .. ',"name":' .. one.name .. '}'
  end
  return one.was
end

-- Whether an operation changes anything of its user.
local function changes_member(one)
  if one.op == 'join' then return not one.was end
  if one.op == 'go' then return one.was end
  return one.was and text_after(one) ~= one.was
end
local DECIDED_BY = {join = 'member ', go = 'member ', role = 'role ', name = 'name '}

-- Choose the affected members. Returns a refusal or nil.
local function choose_members()
  affected = {join = {}, go = {}, role = {}, name = {}}
  for _, one in ipairs(more.members or {}) do
    one.was = redis.call('HGET', MEMBERS, one.user_id)
    if one.op == 'role' and not one.was and not more.replay_of then return {'no_member', now} end
    if changes_member(one) and not superseded[DECIDED_BY[one.op] .. one.user_id] then
      table.insert(affected[one.op], one)
      if one.op == 'join' then
        room_targets[#room_targets + 1] = 'role ' .. one.user_id
        room_targets[#room_targets + 1] = 'name ' .. one.user_id
      end
    end
  end
  if more.remove_everybody then
    local members = redis.call('HGETALL', MEMBERS)
    for i = 1, #members, 2 do table.insert(affected.go, {user_id = members[i], was = members[i + 1]}) end
  end
  member_count = sizes[IN_MEMBERS] + #affected.join - #affected.go
end

-- Nobody is affected, although members were named. A creation has an event without them.
local function affects_nobody()
  return more.members and not more.must_not_exist
    and #affected.join + #affected.go + #affected.role + #affected.name == 0
end

-- Only owners make, change or remove owners, and the last owner stays. Roles are not checked for a replay: they
-- were when the append was accepted.
local function refused_by_owners()
  if #affected.go + #affected.role == 0 or not role then return nil end
  local owners, had = 0, false
  for _, stored in ipairs(redis.call('HVALS', MEMBERS)) do
    if role_of(stored) == 'owner' then owners, had = owners + 1, true end
  end
  for _, one in ipairs(affected.go) do
    if role_of(one.was) == 'owner' then
      if role ~= 'owner' then return {'forbidden', now} end
      owners = owners - 1
    end
  end
  for _, one in ipairs(affected.role) do
    if (one.role == 'owner' or role_of(one.was) == 'owner') and role ~= 'owner' then
      return {'forbidden', now}
    end
    owners = owners + (one.role == 'owner' and 1 or 0) - (role_of(one.was) == 'owner' and 1 or 0)
  end
  if had and owners == 0 and member_count > 0 then return {'last_owner', now} end
end

local function refused_by_limit()
  if #affected.join > 0 and member_count > req.limits.members and not more.replay_of then return {'limit', now} end
end

-- The affected members of an event as clients see them, a JSON list.
local function members_shown(op)
  local shown = {}
  for i, one in ipairs(affected[op]) do
    if op == 'join' then
      shown[i] = fill(one.text)
    else
      local cursors = redis.call('HMGET', CURSORS, 'r:' .. one.user_id, 'd:' .. one.user_id)
      shown[i] = text_after(one):match('^%a+ (.*)}$') .. ',"read_seq":' .. (cursors[1] or 0)
        .. ',"delivered_seq":' .. (cursors[2] or 0) .. '}'
    end
  end
  return '[' .. table.concat(shown, ',') .. ']'
end

-- The users of an outbox entry: [[user, "in" or "out"], …].
local function users_moved(op)
  local moved = {}
  local to = op == 'join' and ',"in"]' or ',"out"]'
  for i, id in ipairs(user_ids(op)) do moved[i] = '[' .. id .. to end
  return '[' .. table.concat(moved, ',') .. ']'
end

-- What follows for a member.
local function add_member(one)
  grow(IN_MEMBERS, redis.call('HSET', MEMBERS, one.user_id, one.role .. ' ' .. fill(one.stored)))
  grow(IN_CURSORS, redis.call('HSET', CURSORS, 'r:' .. one.user_id, seq, 'd:' .. one.user_id, seq))
end
local function remove_member(one)
  local user = one.user_id
  grow(IN_MEMBERS, -redis.call('HDEL', MEMBERS, user))
  grow(IN_CURSORS, -redis.call('HDEL', CURSORS, 'r:' .. user, 'd:' .. user, 'x:' .. user))
  hide(user, false)
end
local function change_member(one)
  grow(IN_MEMBERS, redis.call('HSET', MEMBERS, one.user_id, text_after(one)))
  if one.op == 'role' then publish_state(one.user_id, one.role, settings_of(one.user_id)) end
end
local function apply_to_members(op)
  local apply = op == 'join' and add_member or op == 'go' and remove_member or change_member
  for _, one in ipairs(affected[op]) do apply(one) end
end
