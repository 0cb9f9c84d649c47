-- Put records of a room into its outbox again; safe to repeat, as every record is (Q4).
-- KEYS: 1-9 of fence.lua. ARGV: room id, nonce, records…, the record of a barrier.
-- Barrier last: once it is stored, so are they. Each record has an id of its own instead of its position, by
-- which the queue might still drop it as a duplicate.
for i = 3, #ARGV - 1 do
  local id = ARGV[2] .. '-' .. i
  enqueue('q', 'm', 'r', ARGV[1], 'k', id, 'o', '', 'b', id, 'd', ARGV[i])
end
enqueue('q', 'm', 'r', ARGV[1], 'k', ARGV[2], 'o', '', 'b', ARGV[2], 'd', ARGV[#ARGV])
return #ARGV - 3
