-- Which appends wait in the outbox of their partition. KEYS: the outbox. ARGV per append: one of its entries, its
-- request id. Reply per append: 1 if the entry is there. The request id tells it from an entry that another Redis gave
-- the same id.
local answer = {}
for i = 1, #ARGV, 2 do
  local found = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])[1]
  answer[#answer + 1] = found and found[2][8] == ARGV[i + 1] and 1 or 0
end
return answer
