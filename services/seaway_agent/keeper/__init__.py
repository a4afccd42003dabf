"""The keeper: one process per agent that runs execs and outlives it, instead of a shim for each of them."""
