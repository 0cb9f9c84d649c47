-- The request of an append, as append_call in append_call.py sends it, and all that one call of the function knows.
-- A library is compiled once and its locals outlive a call, so every local in lower case is set here: nothing of
-- one call is left for the next.
local IN_MEMBERS, IN_CURSORS, IN_LOG, IN_SEQS, IN_CHANGED, IN_UNCOUNTED = 1, 2, 3, 4, 5, 6  -- places in `sizes`
local IDEM, FAILED  -- keys of the idempotency key, and, of message.failed only, of that of the message

local NO_FIELDS = {}
local req = {}  -- the arguments that every request has, all written anew by each call
local is_message  -- a plain message, which has no others
local MESSAGE = {type = 'message.new', queue = 'm', allocates_seq = true}  -- its event; sender and record by call
local ONE_MESSAGE = {MESSAGE}
local more  -- the other fields of a request
local events  -- to write
local now  -- ms since 1970
local head, sizes  -- fields of the head; sizes of the hot keys after the writes so far
local known_room  -- the room's own fields once they were read
local is_new, somebody_types  -- no result is remembered; somebody types in the room, see seldom.lua
local role  -- of the actor; nil if the system acts
local offset, seq, ts  -- of the last event written
local published  -- offset of the last event that was published
local entries  -- ids of the outbox entries written
local head_fields, head_length = {}, 0  -- names and values of the fields of the head that change; of two alike the
-- later holds, and what is behind the length is of an earlier call
local new_keys  -- hot keys that the writes created, by place; nil for none
local slots  -- values for the marks of templates, see text.lua
local superseded, room_targets, message_keys  -- see intents.lua
local affected, member_count  -- see members.lua
local settings, settings_rev  -- of the actor after the request, nil if they stay; their rev, or 0
local typing_ended  -- 1 if the sender was typing, which the message ends

-- What an instance sends with each request, its id and settings: one text, parsed again only when it is another.
local instance_text, instance
local function read_instance(text)
  if text ~= instance_text then instance_text, instance = text, cjson.decode(text) end
  return instance
end

-- The keys of a room by the name of its head: to make a name costs a third of what Redis takes to receive it.
local function name_keys(head_key, outbox)
  HEAD, OUTBOX, KEY_PREFIX = head_key, outbox, head_key:sub(1, -5)  -- without `head`
  MEMBERS, CURSORS, LOG = KEY_PREFIX .. 'members', KEY_PREFIX .. 'cursors', KEY_PREFIX .. 'log'
  SEQS, CHANGED, UNCOUNTED = KEY_PREFIX .. 'seqs', KEY_PREFIX .. 'changed', KEY_PREFIX .. 'uncounted'
  CLAIM = KEY_PREFIX .. 'claim'
end

-- KEYS: head, outbox, idempotency key, and, of message.failed only, that of the message.
-- A message is sent thousands of times for each other command, so its event comes as plain arguments, and no table is
-- made for it; the fields of other requests are one of JSON.
local function begin(keys, args)
  name_keys(keys[1], keys[2])
  IDEM, FAILED = keys[3], keys[4]
  local limits = read_instance(args[11])
  req.room_id, req.channel, req.request_id, req.hash, req.actor = args[1], args[2], args[3], args[4], args[5]
  req.roles = args[6]  -- roles that may do it, with a space around each; '' if the system acts
  req.nonce, req.deadline = args[7], tonumber(args[8])
  req.max_epoch = args[9] ~= '0' and tonumber(args[9])  -- false for any
  req.check_archive = args[10] ~= ''
  req.sent_at = tonumber(args[10])  -- ms of the first try, nil if the message's id does not say it
  req.limits, req.origin = limits, limits.origin
  is_message = args[13] ~= nil
  if is_message then
    req.text_begin, req.text_end, req.last_end = args[12], args[13], args[14]
    MESSAGE.sender, MESSAGE.record = req.actor, args[15]
  end
  more = is_message and NO_FIELDS or cjson.decode(args[12])
  events = is_message and ONE_MESSAGE or more.events
  now, head, sizes, known_room, role = clock(), nil, nil, nil, nil
  is_new, somebody_types = false, true
  offset, seq, ts, entries, head_length, new_keys, slots = nil, nil, nil, {}, 0, nil, nil
  published = nil
  superseded, room_targets, message_keys = nil, nil, nil
  affected, member_count, settings, settings_rev = nil, nil, nil, 0
  typing_ended = 0
end

local function set_in_head(name, value)
  head_fields[head_length + 1], head_fields[head_length + 2] = name, value
  head_length = head_length + 2
end

-- Note by how many elements a write made a hot key larger.
local function grow(place, by)
  if by > 0 and sizes[place] == 0 then
    new_keys = new_keys or {}
    new_keys[place] = true
  end
  sizes[place] = sizes[place] + by
end

-- The room's own fields; nil while only its epoch and seq are known.
local function room()
  if known_room == nil then
    local json = redis.call('HGET', HEAD, 'room')
    known_room = json and cjson.decode(json)
  end
  return known_room or nil
end
