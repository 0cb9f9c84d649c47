-- Append to a room's log: it writes all events of a request or none. Only the load of a
-- room (install.lua) writes another event, room.epoch.
--
-- keys, args  the request, see append/request.lua
-- Reply       {outcome, now (ms), ...}; script.py gives the rest its names:
--   ok         epoch, offset, seq, ts, entries, status, typing_ended; not of a plain message: affected, settings_rev
--   duplicate  epoch, offset, seq, ts, entries, affected, status, nonce: the first result, as it is now
--   nothing    epoch, offset, seq: everything was so already
--   cold       the caller has the claim and loads the room
--   loading    somebody else loads it          behind  epoch: it is later than max_epoch
--   ask        filter, ids, seq: ask the archive    exists  is_member: a creation met the room
--   busy       wait (ms): the room is above its rate
--   late       the deadline has passed         moved   the state that the request was built on is stale
--   superseded intents (JSON): some of a replay's; it comes again without them
--   conflict, not_found, forbidden, frozen, direct, no_member, last_owner, limit, full, broken: refused
--
-- The order keeps the guarantees. Redis runs a script as a whole, but undoes nothing if it fails halfway, so reads
-- whose key may have a wrong type come before the first write, and answer 'broken'. Between the writes only keys
-- are read whose type and size the fence has checked, or by pcall.
local function append(keys, args)
  begin(keys, args)

  -- 1. The fence comes before idempotency: in a half-lost room a remembered result may be of an epoch whose events
  -- are gone (D1, D6, T12).
  local state
  head = read_head()
  state, sizes = state_of(head, now, head and look_for_seldom_keys())
  if state ~= 'warm' then return claim() end

  -- 2. Idempotency comes before the guards: a retry gets its first result even if its sender was removed since (D7).
  -- What the origin appended in an earlier epoch may be lost, and must be replayed first (D3).
  local reply = first_result()
  if reply then return reply end
  if req.max_epoch and req.max_epoch < head.epoch then return {'behind', now, head.epoch} end

  -- 3. Guards, intents and the choice of affected members: they read and refuse, and write nothing but the ranks of
  -- intents.
  reply = refused_by_redis() or refused_by_room() or refused_by_rate() or must_ask_archive()
  if not reply and not is_message then reply = refused_by_state() end
  if reply then return reply end

  -- 4. Per event: the hot log, the outbox entry, the state that follows from the event, and the publish last (D4).
  offset, seq, ts = head.offset, head.seq, rfc3339(now)
  published = offset
  if not is_message then note_intents() end
  for _, event in ipairs(events) do
    if not event.op or #affected[event.op] > 0 then write(event) end
  end
  if not is_message then write_settings_and_expiry() end

  -- 5. The head with the new sizes of the hot keys (`shape`), which the next fence compares.
  note_size()
  prolong()
  write_head()

  -- 6. The idempotency key last: it promises that everything before it was written (D1).
  local answer = not is_message and affected_users() or nil
  local entry_ids = entries[2] and table.concat(entries, ' ') or entries[1] or ''
  remember(answer or '{}')
  return {'ok', now, head.epoch, offset, seq, ts, entry_ids, 'pending', typing_ended, answer, settings_rev}
end
