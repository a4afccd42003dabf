"""The node itself: heartbeats, capacity, checks, disk space."""
