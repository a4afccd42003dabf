"""Local volumes and bind mounts."""
