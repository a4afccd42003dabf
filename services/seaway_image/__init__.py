"""The image service: registries, the content-addressed blob store, names, archives, and `/v2/` for the agents."""
