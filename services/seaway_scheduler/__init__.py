"""Placement: which node takes a container."""
