"""One node's agent: runs containers under conmon and crun, and tells the bus."""
