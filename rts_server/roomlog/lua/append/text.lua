-- Texts from templates: finished JSON with marks, a byte 1 and a digit, where only this script knows the value.
-- JSON never contains that byte. Slot in template.py has the names of the digits: 6 is the members and 7 the user
-- ids that an event is about.
local function fill(template)
  local find, sub = string.find, string.sub
  local parts, n, from = {}, 0, 1
  local mark = find(template, '\1', 1, true)
  while mark do
    parts[n + 1] = sub(template, from, mark - 1)
    parts[n + 2] = slots[template:byte(mark + 1) - 48]
    n, from = n + 2, mark + 2
    mark = find(template, '\1', from, true)
  end
  parts[n + 1] = sub(template, from)
  return table.concat(parts)
end
