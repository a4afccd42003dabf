"""Further processes in running containers: `docker exec`, and the probes of health checks."""
