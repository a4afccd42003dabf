"""The container core: what happens to a container, decided without any I/O."""
