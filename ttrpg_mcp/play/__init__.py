"""Use cases: one story per function, speaking to ports only."""
