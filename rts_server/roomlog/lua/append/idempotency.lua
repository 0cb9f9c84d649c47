-- The first result of a request that was appended before, with its status as it is now; nil for a new request.
local function first_result()
  if FAILED and is_foreign(FAILED) then return {'broken', now} end
  if is_new then return nil end
  local known, foreign = result_in(IDEM)
  if foreign then return {'broken', now} end
  if not known then return nil end
  if known.hash ~= req.hash then return {'conflict', now} end
  local status = known.failed and 'failed' or are_waiting(known.entries) and 'pending' or 'queued'
  return {'duplicate', now, known.epoch, known.offset, known.seq, known.ts, known.entries, known.answer, status,
    known.by}
end

-- Remember the result. The key promises that everything else was written (D1).
local function remember(answer)
  redis.call('SET', IDEM, text_of(head.epoch) .. ' ' .. text_of(offset) .. ' ' .. text_of(seq) .. ' ' .. ts .. ' '
    .. req.hash .. ' ' .. req.nonce:sub(1, 8) .. ' 0 ' .. (entries[2] and table.concat(entries, ',') or entries[1] or '')
    .. ' ' .. answer, 'PX', req.limits.idem_ttl)
end
