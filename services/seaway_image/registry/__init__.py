"""The client of registries: connections, tokens, login, pulls."""
