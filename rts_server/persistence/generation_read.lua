-- KEYS: the generation of a partition. Answer: it, as `identity born`.
return (generation(KEYS[1], clock()))
