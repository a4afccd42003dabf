"""One node's agent: runs containers under conmon and crun, and tells the bus."""

__version__ = "0.1.0"
