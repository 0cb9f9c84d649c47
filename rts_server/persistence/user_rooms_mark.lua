-- Prepended, behind identity.lua. Whether a user's rooms are all here: `#complete` holds the identity of the Redis
-- they were rebuilt in, and until when (ms) they are young: the queue may have been behind the rebuild, so it is
-- done once more.
local here
local function complete(mark)
  if not mark then return false end
  local where, until_ms = mark:match('^(%S+) (%d+)$')
  here = here or identity()
  return where == here and (until_ms == '0' or clock() < tonumber(until_ms))
end
