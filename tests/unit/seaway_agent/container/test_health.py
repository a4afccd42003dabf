"""Probes in Docker's words."""

from typing import Any

import pytest
from prometheus_client import REGISTRY

from seaway_agent.container import health as probing
from seaway_agent.container.health import probe, worded
from seaway_agent.execs.probe import ProbeResult
from seaway_contracts.errors import conflict

SECOND_NS = 1_000_000_000


def result(code: int = 0, output: bytes = b"", *, timed_out: bool = False) -> ProbeResult:
    return ProbeResult(code, output, 5, 9, timed_out)


def test_code_times_and_output_are_passed_on() -> None:
    found = worded(result(3, b"no\xff"), SECOND_NS)
    assert (found.exit_code, found.started_ns, found.ended_ns, found.output) == (3, 5, 9, "no\ufffd")


def test_a_long_output_is_cut() -> None:
    assert worded(result(0, b"x" * 4096), SECOND_NS).output == "x" * 4096 + "..."
    assert worded(result(0, b"x" * 4095), SECOND_NS).output == "x" * 4095


@pytest.mark.parametrize(
    ("timeout_ns", "output", "text"),
    [
        (SECOND_NS // 2, b"begun\n", "Health check exceeded timeout (500ms): begun\n"),
        (90 * SECOND_NS, b"", "Health check exceeded timeout (1m30s)"),
    ],
)
def test_a_probe_that_took_too_long(timeout_ns: int, output: bytes, text: str) -> None:
    found = worded(result(0, output, timed_out=True), timeout_ns)
    assert (found.exit_code, found.output) == (-1, text)


async def test_what_can_not_be_run_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any) -> ProbeResult:
        raise conflict("container is not running")

    monkeypatch.setattr(probing, "run_probe", refuse)
    found = await probe(None, ("x",), SECOND_NS)  # type: ignore[arg-type]
    assert (found.exit_code, found.output) == (-1, "container is not running")
    assert found.ended_ns >= found.started_ns > 0


async def test_probes_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def value(name: str) -> float:
        return REGISTRY.get_sample_value(f"engine_daemon_health_{name}") or 0.0

    names = ("checks_total", "checks_failed_total", "check_start_duration_seconds_count")
    for code, refused, more in ((0, False, [1, 0, 1]), (1, False, [1, 1, 1]), (0, True, [1, 1, 0])):

        async def run(*_: Any, code: int = code, refused: bool = refused) -> ProbeResult:
            if refused:
                raise conflict("container is not running")
            return result(code)

        monkeypatch.setattr(probing, "run_probe", run)
        before = [value(name) for name in names]
        await probe(None, ("x",), SECOND_NS)  # type: ignore[arg-type]
        assert [value(name) - number for name, number in zip(names, before, strict=True)] == more
