"""From a container's spec to the OCI runtime's `config.json`. Pure."""
