"""Metrics of a node and its containers: for Prometheus and for `docker stats`."""
