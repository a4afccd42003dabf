"""One container: its runner, hooks, health checks."""
