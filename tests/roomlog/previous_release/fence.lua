-- Goes, behind identity.lua, before every script of a room. KEYS 1-9 are, in this order:
local HEAD, MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED, CLAIM, OUTBOX =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]

local HOT = {MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED}

-- Sizes of the six hot keys, as stored after every write; 'broken' when one is of another type.
local function shape()
  local sizes = {}
  for i, probe in ipairs({
    {'HLEN', MEMBERS}, {'HLEN', CURSORS}, {'XLEN', LOG},
    {'ZCARD', SEQS}, {'HLEN', CHANGED}, {'ZCARD', UNCOUNTED},
  }) do
    local size = redis.pcall(probe[1], probe[2])
    if type(size) == 'table' then return 'broken' end
    sizes[i] = size
  end
  return table.concat(sizes, ':')
end

local EMPTY = '0:0:0:0:0:0'
-- The fields of the head:
--   epoch, offset, seq  position of the last event, and seq of the last message
--   fence       identity of the Redis that the room was installed in
--   shape       sizes of the six hot keys after the last write, in the order of HOT
--   touched     time (ms) at which the expiry of the hot keys was last moved
--   ttl         ms from `touched` until the hot keys expire
--   room        the room's own fields (JSON); absent while only an epoch and a seq are known
--   last        the last message as lists show it (JSON), '' or absent for none
--   last_ms     time (ms) of that message
--   frozen      1 if only owners and admins may send, else 0
--   ids_until   time (ms) until which the idempotency keys know every message of the room; 0 for a loaded room
--   starts      JSON list of [epoch, seq before its first message], oldest epoch first
--   hidden      ids of the members who have hidden the room, with spaces between
local FIELDS = {'epoch', 'offset', 'seq', 'fence', 'shape', 'touched', 'room', 'last', 'last_ms',
  'frozen', 'ids_until', 'starts', 'ttl', 'hidden'}

-- 'warm': everything is here, written by this Redis. 'expired': only the hot keys expired, on time.
-- 'cold': anything else, a lost or foreign key included; never half a room.
local function fence(now)
  local values = redis.pcall('HMGET', HEAD, unpack(FIELDS))
  if values.err then return 'cold', {} end
  local head = {}
  for i, name in ipairs(FIELDS) do head[name] = values[i] or nil end
  if not (head.epoch and head.offset and head.seq and head.fence and head.touched) then
    return 'cold', {}
  end
  head.epoch, head.offset, head.seq = tonumber(head.epoch), tonumber(head.offset), tonumber(head.seq)
  if head.fence ~= identity() then return 'cold', head end
  local found = shape()
  if found == head.shape then return 'warm', head end
  if found == EMPTY and now >= tonumber(head.touched) + tonumber(head.ttl) - 1 then
    return 'expired', head
  end
  return 'cold', head
end

-- The channel of a user, as keys.py names it.
local function user_channel(user_id)
  return 'user:' .. user_id:gsub('[^%w_.~-]', function(char) return string.format('%%%02X', char:byte()) end)
end

-- RFC 3339 of milliseconds since 1970 (days to civil date: Hinnant, chrono-compatible algorithms).
local function rfc3339(ms)
  local floor = math.floor
  local z = floor(ms / 86400000) + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local day = doy - floor((153 * mp + 2) / 5) + 1
  local s = floor(ms / 1000) % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d.%03dZ', year, month, day,
    floor(s / 3600), floor(s / 60) % 60, s % 60, ms % 1000)
end
