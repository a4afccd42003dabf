"""The options of network drivers, as Docker's (`docker network create -o`). Pure."""

from collections.abc import Mapping


def check_options(driver: str, options: Mapping[str, str]) -> None:
    """Raise ValueError if the driver doesn't know an option, or its value is invalid."""
