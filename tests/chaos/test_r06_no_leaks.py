"""R6, R8: many lives leave nothing behind; many containers out of memory at once."""

import time
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.clean import settled
from chaos_rig.client import PORT, Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import FULL, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig import census
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
_GROWTH = 1.05
_NATS_BYTES = 32 << 10
_GIVEN_BACK_S = 35
_FILLED = 7
"""Rounds after which what is bounded is full: caches of outcomes, of ids, of sandboxes."""
_COMPARED = 3
_HOG = "head -c 400000000 /dev/zero | tail"


def _memory_kb(suite: ChaosSuite, row: str) -> dict[str, int]:
    """A row of each process's smaps_rollup, in KiB."""
    found = {}
    for name, pid in suite.processes().items():
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found[name] = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(f"{row}:"))
    return found


def _least_kb(suite: ChaosSuite) -> dict[str, int]:
    """What each has of its own, with what it still shares with the others since their fork: less files, once what lies
    free has been given back, which is done every half minute.
    """
    found = _memory_kb(suite, "Anonymous")
    for _ in range(_GIVEN_BACK_S if FULL else 1):
        found = {name: min(found[name], size) for name, size in _memory_kb(suite, "Anonymous").items()}
        time.sleep(1)
    return found


def _kept_after(suite: ChaosSuite, host: dict[str, object], rounds: int) -> dict[str, int]:
    """What each process holds after rounds of lives, the least of the last ones: Python's allocator gives back whole
    MiB only, and gets rid of what a single burst has scattered as its caches turn over.
    """
    looks = []
    for _ in range(scaled(rounds, 1)):
        with Load(suite.api, scaled(3000, 50), 16, host=host) as load:
            pass
        load.check()
        eventually(lambda: suite.api.containers() == [], "an empty suite")
        looks.append(_least_kb(suite))
    return {name: min(look[name] for look in looks[-_COMPARED:]) for name in looks[-1]}


def test_r6_nothing_is_left(suite: ChaosSuite, figures: Figures) -> None:
    """With published ports."""
    host: dict[str, object] = {"NetworkMode": "bridge", "PortBindings": {PORT: [{"HostPort": ""}]}}
    memory = _kept_after(suite, host, _FILLED)
    share = _memory_kb(suite, "Pss_Anon")
    before = settled(suite)
    with Load(suite.api, scaled(10_000, 150), 16, host=host) as load:
        pass
    load.check()
    stream.check(suite, load.since, [one.container for one in load.outcomes])
    found: dict[str, object] = {}

    def clean() -> bool:
        found.clear()
        found.update(census.take(suite).beyond(before))
        return not found

    try:
        eventually(clean, "a clean machine", 30)
    except TimeoutError:
        pytest.fail(f"leaked: {found}", pytrace=False)
    nats = _least_kb(suite)["nats"]
    after = _kept_after(suite, host, _COMPARED)
    stored = 1024 * (nats - memory["nats"]) // load.done
    ours = {name: round(1 + (after[name] - kept) / share[name], 3) for name, kept in memory.items() if name != "nats"}
    if FULL:
        assert {name: ratio for name, ratio in ours.items() if ratio > _GROWTH} == {}
        assert stored < _NATS_BYTES
    figures.show(
        "R6",
        f"{load.done} lives with published ports: {before.total} things of ten kinds before and after; memory x "
        f"{max(ours.values()):.3f} at most ({ours}); NATS +{stored} bytes per life, for the history that it keeps",
    )


def test_r8_out_of_memory_at_once(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    rounds, at_once = scaled(10, 2), 8
    pids = suite.processes()
    for number in range(rounds):
        made = [client.create(f"r8-{number}-{place}", _HOG, Memory=16 << 20) for place in range(at_once)]
        since = time.time()
        for container in made:
            client.start(container)
        assert [client.wait(container) for container in made] == [137] * at_once
        assert [client.state(container)["OOMKilled"] for container in made] == [True] * at_once
        told = {row["Actor"]["ID"] for row in client.history(since, event="oom")}
        assert set(made) <= told
        for container in made:
            client.remove(container)
    assert suite.processes() == pids
    figures.show("R8", f"{rounds} times {at_once} containers out of memory at once: all flagged, no service hit")
