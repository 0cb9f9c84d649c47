-- The first result of an append, as its idempotency key keeps it: one string. The release before wrote a hash, which is
-- read here too, and cost Redis twice as much.
-- The string, with spaces between: epoch, offset, seq, ts, hash of the body, begin of the nonce, 1 if it is known as
-- failed or else 0, ids of the outbox entries with commas between, and the affected users as JSON.
local RESULT = '^(%d+) (%d+) (%d+) (%S+) (%S*) (%S*) ([01]) (%S*) (.*)$'

local function result_of_hash(key)
  local v = redis.pcall('HMGET', key, 'epoch', 'offset', 'seq', 'ts', 'hash', 'by', 'failed', 'entries', 'answer')
  if v.err or not v[1] then return nil, v.err ~= nil end
  return {epoch = v[1], offset = v[2], seq = v[3], ts = v[4], hash = v[5], by = v[6] or '', failed = v[7],
    entries = v[8], answer = v[9]}
end

-- The result by name, or nil; and whether the key holds something else.
local function result_in(key)
  local text = redis.pcall('GET', key)  -- pcall returns an error as a table
  if not text then return nil, false end
  if type(text) == 'table' then return result_of_hash(key) end
  local epoch, offset, seq, ts, hash, by, failed, entries, answer = text:match(RESULT)
  if not epoch then return nil, true end
  return {epoch = epoch, offset = offset, seq = seq, ts = ts, hash = hash, by = by, failed = failed == '1',
    entries = entries:gsub(',', ' '), answer = answer}, false
end

local function is_foreign(key)
  local _, foreign = result_in(key)
  return foreign
end

-- Note that the append whose result a key holds has failed, if it holds one.
local function note_failure(key)
  local text = redis.pcall('GET', key)
  if type(text) == 'table' then
    redis.call('HSET', key, 'failed', 1)
  elseif text then
    local before, behind = text:match('^(%d+ %d+ %d+ %S+ %S* %S* )[01]( .*)$')
    redis.call('SET', key, before .. '1' .. behind, 'KEEPTTL')
  end
end

-- Whether one of these entries, with spaces between their ids, is still in the outbox.
local function are_waiting(entries)
  for entry in entries:gmatch('%S+') do
    if #redis.call('XRANGE', OUTBOX, entry, entry) > 0 then return true end
  end
  return false
end
