-- Which messages a room had in the last days, as filters that may say yes wrongly (1 in 100) and never no wrongly.
-- There are two: the one that is written, and the one before it. Each is a string: two bits of state, then levels, each
-- twice as large as the one before. A message is in the level of its number in the filter: 32 * 2^level of them, 16 bits
-- for each, of which its id sets five. The written filter is replaced when it is as old as a retry may be (`idem_ttl`);
-- then the one before has nothing that is younger.
-- Whole: all ids are in; begun: it waits for those that the archive has. A lost key is neither.
-- The field `ids` of the head: seq before the first message of the written filter, the same of the one before ('-':
-- there is none), and ms at which the written one began. A room may still have `ids_seq` of an older release:
-- seq after the last append that knew these filters.
local WHOLE, BEGUN = 2, 1

local function ids_key() return KEY_PREFIX .. 'ids' end
local function ids_before_key() return KEY_PREFIX .. 'ids:before' end

-- Base, base of the filter before (nil: none) and begin of the written one; nil if the room has no filters, or a release
-- that does not know them appended since.
local function filters(head)
  if not head.ids or (head.ids_seq and head.ids_seq ~= head.seq) then return nil end
  local base, before, since = head.ids:match('^(%d+) (%S+) (%d+)$')
  return tonumber(base), tonumber(before), tonumber(since)
end

local function level_of(number)
  local level, last = 0, 32
  while number > last do level, last = level + 1, 2 * last + 32 end
  return level
end
-- The first bit of a level, the number of bits in it, and start and step of the five bits of an id: bit
-- first + (at + n * step) % size for n = 0 … 4. The id is a hash, 26 digits of base 32.
local function bits(id, level)
  local first, size = 8 + 512 * (2 ^ level - 1), 512 * 2 ^ level - 1
  return first, size, tonumber(id:sub(1, 8), 36) or 0, tonumber(id:sub(9, 16), 36) or 0
end
-- Give a string the length of all levels up to this one. Redis makes a string that grows twice as long as needed, and
-- one that is written as a whole exactly as long.
local function make_level(key, level)
  local bytes = 1 + 64 * (2 ^ (level + 1) - 1)
  local length = redis.pcall('STRLEN', key)
  if type(length) == 'table' or length >= bytes then return end
  redis.call('SETRANGE', key, bytes - 1, '\0')
  redis.call('SET', key, redis.call('GET', key), 'KEEPTTL')
end
local function note_in(key, id, number)
  local level = level_of(number)
  if number == 32 * (2 ^ level - 1) + 1 then make_level(key, level) end
  local first, size, at, step = bits(id, level)
  redis.pcall('BITFIELD', key,
    'SET', 'u1', first + at % size, 1,
    'SET', 'u1', first + (at + step) % size, 1,
    'SET', 'u1', first + (at + 2 * step) % size, 1,
    'SET', 'u1', first + (at + 3 * step) % size, 1,
    'SET', 'u1', first + (at + 4 * step) % size, 1)
end
-- Add to the words of a BITFIELD that some of the five bits of an id in a level are read.
local function read_bits(words, id, level, from, to)
  local first, size, at, step = bits(id, level)
  for n = from, to do
    local i = #words
    words[i + 1], words[i + 2], words[i + 3] = 'GET', 'u1', first + (at + n * step) % size
  end
end
-- 'new', 'known' (or it looks so), or 'unknown' where not all ids are in. `count`: messages in the filter.
-- One bit of each level tells most new ids: a full level has a quarter of its bits set.
local function look_in(key, id, count)
  local highest, words, more = level_of(count), {'GET', 'u2', 0}, {}
  for level = 0, highest do read_bits(words, id, level, 0, 0) end
  local found = redis.pcall('BITFIELD', key, unpack(words))
  if found.err or found[1] ~= WHOLE then return 'unknown' end
  for level = 0, highest do
    if found[level + 2] == 1 then read_bits(more, id, level, 1, 4) end
  end
  if #more == 0 then return 'new' end
  found = redis.call('BITFIELD', key, unpack(more))
  for i = 1, #found, 4 do
    if found[i] + found[i + 1] + found[i + 2] + found[i + 3] == 4 then return 'known' end
  end
  return 'new'
end

-- Whether nothing was appended for longer than a retry may be late (ms): a touch is written once a minute.
local function is_long_quiet(head, now, window) return now - head.touched > window + 120000 end

-- What the filters say of an id that comes up to `window` ms after its first time.
local function seen_id(id, head, now, window)
  if is_long_quiet(head, now, window) then return 'new' end
  local base, before, since = filters(head)
  if not base then return 'unknown' end
  local seen = look_in(ids_key(), id, head.seq - base)
  if seen == 'unknown' or not before or now - since > window then return seen end
  local seen_before = look_in(ids_before_key(), id, base - before)
  return seen_before == 'new' and seen or seen_before
end

-- Make a filter of no id. Its key lives a little longer than it is asked.
local function make_filter(key, state, window)
  redis.call('DEL', key)
  redis.call('BITFIELD', key, 'SET', 'u2', 0, state)
  redis.call('PEXPIRE', key, window + 180000)
end

-- Begin a filter if there is none that is young enough. Returns the base of the written one, and whether it began.
local function current_filter(head, now, window)
  local base, before, since = filters(head)
  if base and now - since <= window then return base, false end
  if is_long_quiet(head, now, window) then
    before = '-'
  elseif base then
    before = base
    if redis.pcall('RENAME', ids_key(), ids_before_key()).err then
      make_filter(ids_before_key(), BEGUN, window)
    else
      redis.call('PEXPIRE', ids_before_key(), window + 180000)
    end
  else
    before = 0
    make_filter(ids_before_key(), BEGUN, window)
  end
  make_filter(ids_key(), WHOLE, window)
  head.ids, head.ids_seq = string.format('%d %s %d', head.seq, before, now), head.seq
  return head.seq, true
end
