"""The HTTP side: `/v2/` for agents, archives for the API, and who may ask for what."""
