"""One agent per node: rootfs, network, volumes, runtime, logs, exec, stats, recovery."""
