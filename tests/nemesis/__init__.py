"""Random faults from a seed, clients that follow the protocol, and a checker of the guarantees."""
