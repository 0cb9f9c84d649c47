-- The first result of a request that was appended before, with its status as it is now; nil for a new request.
local function first_result()
  if FAILED and type(redis.pcall('HLEN', FAILED)) == 'table' then return {'broken', now} end
  if is_new then return nil end
  local known = redis.pcall('HMGET', IDEM, 'epoch', 'offset', 'seq', 'ts', 'hash', 'entries', 'answer', 'failed', 'by')
  if known.err then return {'broken', now} end
  if not known[1] then return nil end
  if known[5] ~= req.hash then return {'conflict', now} end
  local status = 'queued'
  for entry in string.gmatch(known[6], '%S+') do
    if #redis.call('XRANGE', OUTBOX, entry, entry) > 0 then status = 'pending' end
  end
  if known[8] then status = 'failed' end
  return {'duplicate', now, known[1], known[2], known[3], known[4], known[6], known[7], status,
    known[9] or ''}
end

-- Remember the result. The key promises that everything else was written (D1).
local function remember(answer, entry_ids)
  redis.call('HSET', IDEM, 'epoch', head.epoch, 'offset', offset, 'seq', seq, 'ts', ts, 'hash', req.hash,
    'entries', entry_ids, 'answer', answer, 'by', req.nonce:sub(1, 8))
  redis.call('PEXPIRE', IDEM, req.limits.idem_ttl)
end
