"""Compose the OCI runtime's `config.json` from a container's spec. Pure."""
