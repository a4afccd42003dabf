"""Tar archives and their compression, read and written once for all services. Pure: nothing here does I/O."""
