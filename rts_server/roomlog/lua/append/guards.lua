-- Whether the request may be appended now: they read, and write nothing. Each returns a reply that refuses the
-- request, or nil.

-- Keys of a foreign type, a deadline that has passed, an outbox that is full.
local function refused_by_redis()
  local waiting = redis.pcall('XLEN', OUTBOX)  -- pcall returns an error as a table
  if type(waiting) == 'table' then return {'broken', now} end
  if now > req.deadline then return {'late', now} end
  if waiting >= req.limits.outbox_cap then return {'full', now} end
end

-- The room must be there or must not be; the actor must be a member with one of the roles. A room that is not
-- there and one without the actor are refused alike (A4).
local function refused_by_room()
  if more.must_not_exist then
    if room() then return {'exists', now, redis.call('HEXISTS', MEMBERS, req.actor)} end
  elseif req.roles == '' and not room() then
    return {'not_found', now}
  end
  if req.roles ~= '' then
    local member = redis.call('HGET', MEMBERS, req.actor)
    if not member then return {'not_found', now} end
    role = member:match('^%a+')
  elseif not (more.replay_of or more.must_not_exist or more.change) and room().deleted_at then
    return {'not_found', now}
  end
  if more.group_only and not more.replay_of and room().type ~= 'group' then return {'direct', now} end
  if not role then return nil end
  if not req.roles:find(' ' .. role .. ' ', 1, true) then return {'forbidden', now} end
  if head.frozen == '1' and not more.allow_frozen and role ~= 'owner' and role ~= 'admin' then
    return {'frozen', now}
  end
end

-- The rate of a room holds for all instances together: nobody must fill the queue of all others through one room. It
-- counts the events of members and the messages of operators, and is one number, the time at which the burst is whole
-- again (GCRA, ITU-T I.371).
local function refused_by_rate()
  local rate = req.limits.room_rate
  local counted = role or is_message or (events[1] or NO_FIELDS).sender
  if not counted or more.replay_of or type(rate) ~= 'table' then return nil end
  local interval, burst = rate[1], rate[2]
  local full_at = tonumber(head.full_at or 0)
  full_at = (full_at > now and full_at or now) + interval * (is_message and 1 or math.max(1, #events))
  local wait = full_at - now - burst
  if wait > 0 then return {'busy', now, math.ceil(wait)} end
  set_in_head('full_at', full_at)
end

-- Idempotency keys go with their events, and begin anew with the room's load: for an older id the archive is asked
-- (D7). The filters know an id for the window. Half of that is left for a client whose clock is wrong.
local function must_ask_archive()
  if not req.check_archive then return nil end
  local window = req.limits.idem_ttl
  local is_old = req.sent_at and now - req.sent_at > window / 2
  if not is_old and now < tonumber(head.ids_until or 0) then return nil end
  local seen = is_old and 'known' or seen_id(req.request_id, head, now, window)
  if seen ~= 'new' then return {'ask', now, head.ids or '', seen, head.seq} end
end

-- A change of a message is built on the state its author read, and so is a change of the room.
local function message_moved()
  local change = more.change
  if not change then return nil end
  local changed = redis.call('HGET', CHANGED, change.message_id)
  local version = changed and tonumber(changed:match('^%d+ (%d+)'))
  if change.epoch ~= head.epoch or (version and version ~= change.version) then return {'moved', now} end
end
local function room_moved()
  local change = more.room_change
  if change and (change.epoch ~= head.epoch or change.version ~= room().version) then return {'moved', now} end
end
