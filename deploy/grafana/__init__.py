"""Grafana dashboards as Python. `python -m deploy.grafana` writes them as JSON, which Grafana loads."""
