"""Running OCI bundles: conmon as the shim, crun, runc or runsc as the runtime."""
