-- Goes, behind identity.lua, before every script of a room.
local HEAD, MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED, CLAIM, OUTBOX
local KEY_PREFIX  -- of all keys of the room

-- Take KEYS 1-9 of a script, which are, in this order:
local function use_keys(keys)
  HEAD, MEMBERS, CURSORS, LOG, SEQS, CHANGED, UNCOUNTED, CLAIM, OUTBOX = unpack(keys, 1, 9)
  KEY_PREFIX = HEAD:sub(1, -5)  -- without `head`
end

-- Add a record to the outbox, and ring the doorbell of its partition: a relay reads the partitions that rang. The
-- fields of an entry are listed in keys.py (`outbox`). Returns the id of the entry.
local function enqueue(...)
  local entry = redis.call('XADD', OUTBOX, '*', ...)
  redis.call(PUBLISH, OUTBOX, '')
  return entry
end

-- Sizes of the six hot keys, from MEMBERS to UNCOUNTED; of a key of another type an error, which is a table.
-- `last_absent`: CHANGED and UNCOUNTED are known to be absent.
local function hot_sizes(last_absent)
  local pcall = redis.pcall
  return {pcall('HLEN', MEMBERS), pcall('HLEN', CURSORS), pcall('XLEN', LOG), pcall('ZCARD', SEQS),
    last_absent and 0 or pcall('HLEN', CHANGED), last_absent and 0 or pcall('ZCARD', UNCOUNTED)}
end

-- A whole number as text; '?' for anything else. To format one costs as much as a small command, so those that come
-- often are kept, where this is a library, whose locals outlive a call. Who knows that looks there first.
local texts = {}
local function text_of(number)
  if texts[number] then return texts[number] end
  if type(number) ~= 'number' then return '?' end
  local text = string.format('%d', number)
  if number < 4096 then texts[number] = text end
  return text
end

-- The fields of the head:
--   epoch, offset, seq  position of the last event, and seq of the last message
--   fence       identity of the Redis that the room was installed in; '-' once somebody began to load it again
--   shape       sizes of the six hot keys after the last write, in the order of KEYS
--   touched     time (ms) at which an append last moved the expiry of the keys
--   ttl         ms from `touched` until they expire
--   renewed     time (ms) at which the connect of a member last moved it, see renew.lua; absent for never
--   room        the room's own fields (JSON); absent while only an epoch and a seq are known
--   last        the last message as lists show it (JSON), '' or absent for none
--   last_ms     time (ms) of that message
--   frozen      1 if only owners and admins may send, else 0
--   ids_until   time (ms) until which the idempotency keys know every message of the room; 0 for a loaded room, and
--               once its log was trimmed
--   ids         which messages the filters of message ids have, see ids.lua; perhaps `ids_seq` of an older release
--   starts      JSON list of [epoch, seq before its first message], oldest epoch first
--   full_at     time (ms) at which the room may have a whole burst of events again, see append/guards.lua
--   forgotten   how many uncounted messages were forgotten; absent for none
--   hidden      ids of the members who have hidden the room, with spaces between
-- `room`, `last`, `last_ms` and `starts` are read by readers of the room; append.lua reads them, and everybody reads
-- `ttl`, where they need it.
local function read_head(...)
  local v = redis.pcall('HMGET', HEAD, 'epoch', 'offset', 'seq', 'fence', 'shape', 'touched', 'frozen',
    'ids_until', 'hidden', 'full_at', 'ids', 'ids_seq', ...)
  if v.err or not (v[1] and v[2] and v[3] and v[4] and v[6]) then return nil end
  local seq = tonumber(v[3])
  return {epoch = tonumber(v[1]), offset = tonumber(v[2]), seq = seq, fence = v[4], shape = v[5],
    touched = tonumber(v[6]), frozen = v[7], ids_until = v[8], hidden = v[9] or '', full_at = v[10], ids = v[11],
    ids_seq = v[12] == v[3] and seq or tonumber(v[12]), room = v[13], last = v[14], last_ms = v[15], starts = v[16]}
end

local function hot_ttl() return tonumber(redis.call('HGET', HEAD, 'ttl') or 0) end

-- Whether this is the primary, and holds the data, that wrote a fence: `run_id:master_replid` of 40 digits each.
-- A Redis makes a new replication id at every start as primary and at every promotion, so it alone tells A from
-- A after a fail-back A→B→A (D6); a replica has the id of its primary, so the role counts too.
-- A library's locals outlive a call, and a fence that held is not looked at again in the same millisecond: none is
-- long enough for another Redis to take over, load a room, which waits for the queue, and give back.
local held, held_at
local function is_written_here(fence, now)
  if fence == held and now == held_at then return true end
  local info = redis.call('INFO', 'replication')
  local holds = #fence == 81 and info:find('role:master', 1, true)
    and info:find('master_replid:' .. fence:sub(42), 1, true)
  held, held_at = holds and fence, now
  return holds
end

-- As the head keeps them. A key of another type has a size that no head has.
local function shape_of(sizes)
  local a, b, c, d, e, f = unpack(sizes)
  return (texts[a] or text_of(a)) .. ':' .. (texts[b] or text_of(b)) .. ':' .. (texts[c] or text_of(c))
    .. ':' .. (texts[d] or text_of(d)) .. ':' .. (texts[e] or text_of(e)) .. ':' .. (texts[f] or text_of(f))
end

-- State, and sizes of the hot keys, for a head that was read.
-- 'warm': everything is here, written by this Redis. 'cold': anything else, a lost or foreign key included; never half
-- a room.
local function state_of(head, now, last_absent)
  if not (head and is_written_here(head.fence, now)) then return 'cold' end
  local sizes = hot_sizes(last_absent)
  if shape_of(sizes) == head.shape then return 'warm', sizes end
  return 'cold'
end

-- State and head, for readers of a room.
local function fence(now)
  local head = read_head('room', 'last', 'last_ms', 'starts')
  return state_of(head, now), head or {}
end

-- RFC 3339 of seconds since 1970, up to the fraction (days to civil date: Hinnant, chrono-compatible algorithms).
local function date_and_time(seconds)
  local floor = math.floor
  local z = floor(seconds / 86400) + 719468
  local era = floor(z / 146097)
  local doe = z - era * 146097
  local yoe = floor((doe - floor(doe / 1460) + floor(doe / 36524) - floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + floor(yoe / 4) - floor(yoe / 100))
  local mp = floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local day = doy - floor((153 * mp + 2) / 5) + 1
  local s = seconds % 86400
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d', year, month, day, floor(s / 3600), floor(s / 60) % 60, s % 60)
end

-- RFC 3339 of milliseconds since 1970; the last second's text is kept.
local second, text_of_second
local function rfc3339(ms)
  local seconds = math.floor(ms / 1000)
  if seconds ~= second then second, text_of_second = seconds, date_and_time(seconds) end
  return text_of_second .. '.' .. text_of(1000 + ms % 1000):sub(2) .. 'Z'
end
