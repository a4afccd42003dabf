"""What the end-to-end tests stand on: a small world with an engine in it, a registry, and clients."""
