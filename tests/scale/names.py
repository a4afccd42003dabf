"""The names of simulated nodes."""


def node_name(number: int) -> str:
    """The name of a simulated node."""
    return f"sim{number:05}"
