-- Keys that a message seldom meets: one command asks for all of them. EXISTS counts a key as often as it is named, so
-- that four and more mean that somebody types, and the rest that one of the others is there.

-- Whether CHANGED and UNCOUNTED are known to be absent. They are only asked for if the head says so.
local function look_for_seldom_keys()
  local typing = KEY_PREFIX .. 'typing'
  local both_empty = head.shape and head.shape:sub(-4) == ':0:0'
  local found
  if both_empty then
    found = redis.call('EXISTS', typing, typing, typing, typing, IDEM, CHANGED, UNCOUNTED)
  else
    found = redis.call('EXISTS', typing, typing, typing, typing, IDEM)
  end
  is_new, somebody_types = found % 4 == 0, found >= 4
  return both_empty and is_new
end
