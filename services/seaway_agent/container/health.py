"""Runs the probes of health checks; their results read as Docker's do (moby 26.1 `daemon/health.go`)."""

import time
from collections.abc import Sequence
from typing import Final

from seaway_agent.container.measures import FAILED_PROBES, PROBE_START_SECONDS, PROBES
from seaway_agent.core.health import NOT_RUN, OUTPUT_BYTES
from seaway_agent.execs.execs import Execs
from seaway_agent.execs.probe import ProbeResult, run_probe
from seaway_contracts.containers import Probe
from seaway_contracts.errors import SeawayError
from seaway_docker.timestamps import go_duration

_SECOND_NS: Final = 1_000_000_000
_CUT_OFF: Final = "..."


async def probe(execs: Execs, argv: Sequence[str], timeout_ns: int) -> Probe:
    """Run one probe in a container. One that can't be run has failed, with the reason as its output."""
    began = time.time_ns()
    PROBES.inc()
    try:
        result = await run_probe(execs, argv, timeout_ns / _SECOND_NS)
    except (SeawayError, OSError) as error:
        FAILED_PROBES.inc()
        return Probe(started_ns=began, ended_ns=time.time_ns(), exit_code=NOT_RUN, output=str(error)[:OUTPUT_BYTES])
    PROBE_START_SECONDS.observe(max(0, result.started_ns - began) / _SECOND_NS)
    if result.exit_code:
        FAILED_PROBES.inc()
    return worded(result, timeout_ns)


def worded(result: ProbeResult, timeout_ns: int) -> Probe:
    """The result as inspect shows it."""
    text = result.output[:OUTPUT_BYTES].decode(errors="replace")
    if len(result.output) >= OUTPUT_BYTES:
        text += _CUT_OFF
    if result.timed_out:
        text = f"Health check exceeded timeout ({go_duration(timeout_ns)})" + (f": {text}" if text else "")
    code = NOT_RUN if result.timed_out else result.exit_code
    return Probe(started_ns=result.started_ns, ended_ns=result.ended_ns, exit_code=code, output=text)
