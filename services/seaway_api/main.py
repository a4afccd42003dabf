"""The entry point of `seaway-api`."""

from collections.abc import Sequence
from functools import partial

from seaway_api.service import build
from seaway_api.settings import ApiSettings
from seaway_kit.listeners import Listener
from seaway_kit.service import run_service
from seaway_kit.settings import load_settings


def run(settings: ApiSettings, lent: Sequence[Listener] = ()) -> int:
    """Run the service until it is told to end; its exit code. `lent` are sockets that its parent keeps."""
    return run_service("api", settings, partial(build, lent=lent), without_bus=True)


def main(argv: Sequence[str] | None = None) -> int:
    """`seaway-api`"""
    return run(load_settings(ApiSettings, argv, prog="seaway-api"))
