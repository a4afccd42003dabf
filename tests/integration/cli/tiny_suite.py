"""`seaway` with metadata and a tiny scheduler instead of all services: `tiny_suite.py up --root … --run …`."""

import contextlib
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from seaway_cli import main as command
from seaway_cli import up
from seaway_cli.services import SuiteOptions, settings_of, spec_of
from seaway_cli.supervisor import ServiceSpec
from seaway_kit.listeners import Listener
from seaway_kit.service import ServiceContext, run_service
from seaway_kit.settings import ServiceSettings
from seaway_metadata import main as metadata


@contextlib.asynccontextmanager
async def build_scheduler(context: ServiceContext) -> AsyncIterator[None]:
    context.health.set("tested", True)
    yield


def run_scheduler(settings: ServiceSettings) -> int:
    return run_service("scheduler", settings, build_scheduler)


def run_broken(settings: ServiceSettings) -> int:
    print("the disk is made of cheese", file=sys.stderr)
    return 1


def load(prepared: up.Prepared, _: tuple[Listener, ...]) -> Iterator[ServiceSpec]:
    options = SuiteOptions(
        layout=prepared.options.layout,
        token=prepared.suite.token,
        nats=prepared.nats_url,
        hosts=prepared.options.listens,
        node=prepared.options.node_name,
        passwords=prepared.options.passwords,
        listen=prepared.options.bus,
        metrics_port=prepared.options.metrics_port,
        own_nats=prepared.nats is not None,
    )
    runs: dict[str, Callable[..., int]] = {"metadata": metadata.run, "scheduler": run_scheduler}
    if options.node == "broken":
        runs["scheduler"] = run_broken
    for name, run in runs.items():
        yield spec_of(name, run, settings_of(name, options))


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    for start in (up.foreground, up.detached):
        start.__defaults__ = (load,)
    return command.main(argv)


if __name__ == "__main__":
    sys.exit(main())
