"""The entry point of `seaway-scheduler`."""

from collections.abc import Sequence

from seaway_kit.service import run_service
from seaway_kit.settings import load_settings
from seaway_scheduler.service import scheduler_service
from seaway_scheduler.settings import SchedulerSettings


def run(settings: SchedulerSettings) -> int:
    """Run the service with settings that are already read; its exit code."""
    return run_service("scheduler", settings, scheduler_service)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; its exit code."""
    return run(load_settings(SchedulerSettings, argv, prog="seaway-scheduler"))


if __name__ == "__main__":
    raise SystemExit(main())
