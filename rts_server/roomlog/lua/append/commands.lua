-- What commands other than a plain message add: changes of messages, of the room, of members and of settings.

local function choose_settings()
  if not more.settings or redis.call('HEXISTS', MEMBERS, req.actor) == 0 then return end
  settings = settings_after(req.actor, more.settings)
  settings_rev = settings and settings.rev or 0
end

-- The guards of these commands. Returns a reply if nothing is to be written, else nil.
local function refused_by_state()
  local reply = message_moved() or read_intents() or superseded_by_later_intents() or room_moved()
    or choose_members()
  if reply then return reply end
  choose_settings()
  if affects_nobody() or (#events == 0 and not settings) then return nothing() end
  return refused_by_limit() or refused_by_owners()
end

-- What is written behind the events. A record that makes the archive forget the room's items later goes behind all
-- messages of the room, through the same queue.
local function write_settings_and_expiry()
  if more.expiry then
    entries[#entries + 1] = enqueue('q', 'm', 'r', req.room_id,
      'e', head.epoch .. ':' .. offset, 'k', req.request_id, 'o', req.origin, 'd', more.expiry)
  end
  if settings then change_settings(req.actor, role_of(redis.call('HGET', MEMBERS, req.actor)), settings) end
end
