"""What several services do with containers over the bus: make, start, remove, wait, run a command. No Docker JSON."""
