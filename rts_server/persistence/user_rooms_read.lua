-- Read the index of a user. KEYS: 1 index of the user. Reply: {complete (0|1), fields}.
return {complete(redis.call('HGET', KEYS[1], '#complete')) and 1 or 0, redis.call('HGETALL', KEYS[1])}
