"""Builds: what a client asks, the images that it needs, and a node's words in Docker's."""
