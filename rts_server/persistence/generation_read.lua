-- KEYS: the generation of a partition. Reply: `identity born`.
return (generation(KEYS[1], clock(), identity()))
