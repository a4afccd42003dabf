"""Thin primitives over the Linux kernel: mounts, namespaces, processes, cgroups, confined paths. No asyncio here."""
