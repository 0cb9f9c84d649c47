use_keys(KEYS)
