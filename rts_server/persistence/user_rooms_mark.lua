-- Prepended, after identity.lua. Returns whether an index is complete. `#complete` holds the identity of the Redis in
-- which it was rebuilt, and until when (ms) that holds; 0, of the release before, is for ever. The first rebuild holds
-- for a while only: records that were still in the queue were missing in it.
local here
local function complete(mark)
  if not mark then return false end
  local where, until_ms = mark:match('^(%S+) (%d+)$')
  here = here or identity()
  return where == here and (until_ms == '0' or clock() < tonumber(until_ms))
end
