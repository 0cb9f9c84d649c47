-- Which messages a room has ever had, as a filter that may say yes wrongly (1 in 100) and never no wrongly.
-- One string behind the head: two bits of state, then levels, each twice as large as the one before. A
-- message is in the level of its seq: 512 * 2^level of them, 16 bits for each, of which its id sets five.
-- Complete: all ids of the room are in; begun: all since the room was installed are. A lost key is neither.
local COMPLETE, BEGUN = 3, 1

local function ids_key() return KEY_PREFIX .. 'ids' end

local function level_of(seq)
  local level, last = 0, 512
  while seq > last do level, last = level + 1, 2 * last + 512 end
  return level
end
-- The first bit of a level, the number of bits in it, and start and step of the five bits of an id: bit
-- first + (at + n * step) % size for n = 0 … 4. The id is a hash, 26 digits of base 32.
local function bits(id, level)
  local first, size = 8 + 8192 * (2 ^ level - 1), 8192 * 2 ^ level - 1
  return first, size, tonumber(id:sub(1, 8), 36) or 0, tonumber(id:sub(9, 16), 36) or 0
end
local function note_id(id, seq)
  local first, size, at, step = bits(id, level_of(seq))
  redis.pcall('BITFIELD', ids_key(),
    'SET', 'u1', first + at % size, 1,
    'SET', 'u1', first + (at + step) % size, 1,
    'SET', 'u1', first + (at + 2 * step) % size, 1,
    'SET', 'u1', first + (at + 3 * step) % size, 1,
    'SET', 'u1', first + (at + 4 * step) % size, 1)
end
-- 'new', 'known' (or it looks so), or 'unknown' where not all ids are in.
local function seen_id(id, seq)
  local words = {'GET', 'u2', 0}
  for level = 0, level_of(seq) do
    local first, size, at, step = bits(id, level)
    for n = 0, 4 do
      local i = #words
      words[i + 1], words[i + 2], words[i + 3] = 'GET', 'u1', first + (at + n * step) % size
    end
  end
  local found = redis.pcall('BITFIELD', ids_key(), unpack(words))
  if found.err or found[1] ~= COMPLETE then return 'unknown' end
  for level = 0, level_of(seq) do
    local all = 0
    for i = 2, 6 do all = all + found[5 * level + i] end
    if all == 5 then return 'known' end
  end
  return 'new'
end
