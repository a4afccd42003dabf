"""The commands that come for a node over the bus, one module per group."""
