-- All rooms of a user, and whether that is all. KEYS: 1 hash of the user. Answer: complete (0|1), fields.
return {complete(redis.call('HGET', KEYS[1], '#complete')) and 1 or 0, redis.call('HGETALL', KEYS[1])}
