"""`seaway-agent`: runs containers on this node."""

import os
import sys
from collections.abc import Sequence

from seaway_agent.service import build
from seaway_agent.settings import AgentSettings
from seaway_kit.service import run_service
from seaway_kit.settings import load_settings


def run(settings: AgentSettings) -> int:
    """Run with these settings until a signal comes; the exit code."""
    return run_service("agent", settings, build, without_bus=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return run(load_settings(AgentSettings, arguments, prog="seaway-agent", env=os.environ))


if __name__ == "__main__":
    sys.exit(main())
