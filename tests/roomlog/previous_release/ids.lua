-- Which messages a room has ever had, as a filter that may say yes wrongly (1 in 100) and never no wrongly.
-- One string behind the head: two bits of state, then levels, each twice as large as the one before. A
-- message is in the level of its seq: 512 * 2^level of them, 16 bits for each, of which its id sets five.
-- Complete: all ids of the room are in; begun: all since the room was installed are. A lost key is neither.
local IDS = (HEAD:gsub('head$', 'ids'))
local COMPLETE, BEGUN = 3, 1

local function level_of(seq)
  local level, last = 0, 512
  while seq > last do level, last = level + 1, 2 * last + 512 end
  return level
end
-- The five bits of an id in a level, as words of BITFIELD; the id is a hash, 26 digits of base 32.
local function bits(id, level, words, verb, value)
  local first, size = 8 + 8192 * (2 ^ level - 1), 8192 * 2 ^ level - 1
  local at, step = tonumber(id:sub(1, 8), 36) or 0, tonumber(id:sub(9, 16), 36) or 0
  local n = #words
  for _ = 1, 5 do
    words[n + 1], words[n + 2], words[n + 3] = verb, 'u1', first + at % size
    n = n + 3
    if value then n = n + 1; words[n] = value end
    at = at + step
  end
  return words
end
local function note_id(id, seq)
  redis.pcall('BITFIELD', IDS, unpack(bits(id, level_of(seq), {}, 'SET', 1)))
end
-- 'new', 'known' (or it looks so), or 'unknown' where not all ids are in.
local function seen_id(id, seq)
  local words = {'GET', 'u2', 0}
  for level = 0, level_of(seq) do bits(id, level, words, 'GET') end
  local found = redis.pcall('BITFIELD', IDS, unpack(words))
  if found.err or found[1] ~= COMPLETE then return 'unknown' end
  for level = 0, level_of(seq) do
    local all = 0
    for i = 2, 6 do all = all + found[5 * level + i] end
    if all == 5 then return 'known' end
  end
  return 'new'
end
