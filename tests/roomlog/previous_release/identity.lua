-- The identity of this Redis and its data. With run_id alone a fail-back A→B→A would issue positions twice (D6).
local function identity()
  local info = redis.call('INFO', 'server', 'replication')
  return info:match('run_id:(%w+)') .. ':' .. info:match('master_replid:(%w+)')
end

local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
