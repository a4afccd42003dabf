"""What a node tells Prometheus of itself and of its containers."""
