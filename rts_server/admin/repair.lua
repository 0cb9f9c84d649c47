-- Records of a room once more into its group; safe to repeat, as every record is.
-- KEYS: 1-9 of fence.lua. ARGV: room id, nonce, records…, the record of a barrier behind them.
-- Each has a word of its own instead of a position: the queue may still remember that as a duplicate.
for i = 3, #ARGV - 1 do
  local word = ARGV[2] .. '-' .. i
  redis.call('XADD', OUTBOX, '*', 'q', 'm', 'r', ARGV[1], 'k', word, 'o', '', 'b', word, 'd', ARGV[i])
end
redis.call('XADD', OUTBOX, '*', 'q', 'm', 'r', ARGV[1], 'k', ARGV[2], 'o', '', 'b', ARGV[2], 'd', ARGV[#ARGV])
return #ARGV - 3
