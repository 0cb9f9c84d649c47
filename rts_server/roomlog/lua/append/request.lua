-- The request of an append, as append_call in append_call.py sends it, and all that one call of the function knows.
-- A library is compiled once and its locals outlive a call, so every local in lower case is set here: nothing of
-- one call is left for the next.
local IN_MEMBERS, IN_CURSORS, IN_LOG, IN_SEQS, IN_CHANGED, IN_UNCOUNTED = 1, 2, 3, 4, 5, 6  -- places in `sizes`
local IDEM, FAILED  -- keys of the idempotency key, and, of message.failed only, of that of the message

local NO_FIELDS = {}
local req  -- the arguments that every request has
local is_message  -- a plain message, which has no others
local more  -- the other fields of a request
local events  -- to write
local now  -- ms since 1970
local head, sizes  -- fields of the head; sizes of the hot keys after the writes so far
local known_room  -- the room's own fields once they were read
local role  -- of the actor; nil if the system acts
local offset, seq, ts  -- of the last event written
local entries  -- ids of the outbox entries written
local update  -- fields of the head that change, beside its position
local new_keys  -- hot keys that the writes created, by place
local slots  -- values for the marks of templates, see text.lua
local superseded, room_targets, message_keys  -- see intents.lua
local affected, member_count  -- see members.lua
local settings, settings_rev  -- of the actor after the request, nil if they stay; their rev, or 0
local typing_ended  -- 1 if the sender was typing, which the message ends

-- The settings of an instance, one text that is parsed again only when it is another.
local limits_text, limits
local function read_limits(text)
  if text ~= limits_text then limits_text, limits = text, cjson.decode(text) end
  return limits
end

-- A message is sent thousands of times for each other command, so its event comes as plain arguments; the fields of
-- other requests are JSON.
local function begin(keys, args)
  use_keys(keys)
  IDEM, FAILED = keys[10], keys[11]
  req = {
    room_id = args[1], channel = args[2], request_id = args[3], hash = args[4], actor = args[5],
    roles = args[6],  -- roles that may do it, with a space around each; '' if the system acts
    origin = args[7], nonce = args[8],
    deadline = tonumber(args[9]),
    max_epoch = tonumber(args[10]),  -- 0 for any
    check_archive = args[11] == '1',
    limits = read_limits(args[12]),
  }
  is_message = args[13] == ''
  more = is_message and NO_FIELDS or cjson.decode(args[13])
  events = more.events or {{
    type = 'message.new', queue = 'm', v = args[14], allocates_seq = true, sender = req.actor,
    text_format = args[15], last_format = args[16], extra = args[17],
  }}
  now, head, sizes, known_room, role = clock(), nil, nil, nil, nil
  offset, seq, ts, entries, update, new_keys, slots = nil, nil, nil, {}, {}, {}, nil
  superseded, room_targets, message_keys = nil, nil, nil
  affected, member_count, settings, settings_rev = nil, nil, nil, 0
  typing_ended = 0
end

-- Note by how many elements a write made a hot key larger.
local function grow(place, by)
  if by > 0 and sizes[place] == 0 then new_keys[place] = true end
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
