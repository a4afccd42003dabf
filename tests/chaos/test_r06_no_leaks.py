"""R6, R8: many lives leave nothing behind; many containers out of memory at once."""

import time
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import PORT, Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import FULL, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig import census
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]
_GROWTH = 1.05
_NATS_BYTES = 32 << 10
_LOOKS = 30
_GIVEN_BACK_S = 35
_AT_REST = 1.01
_MOST_ROUNDS = 8
_HOG = "head -c 400000000 /dev/zero | tail"


def _pss_kb(suite: ChaosSuite) -> dict[str, int]:
    """Proportional set size of each process, in KiB, less files: they count for less while others have them, too."""
    found = {}
    for name, pid in suite.processes().items():
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found[name] = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss_Anon:"))
    return found


def _least_pss_kb(suite: ChaosSuite) -> dict[str, int]:
    """The same once what lies free has been given back, which is done every half minute."""
    found = _pss_kb(suite)
    for _ in range(_GIVEN_BACK_S if FULL else 1):
        found = {name: min(found[name], size) for name, size in _pss_kb(suite).items()}
        time.sleep(1)
    return found


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, float]:
    return {name: size / before[name] for name, size in after.items()}


def _filled(suite: ChaosSuite, host: dict[str, object]) -> dict[str, int]:
    """What each process holds once what is bounded is full: caches of outcomes, of ids, of sandboxes."""
    memory: dict[str, int] = {}
    for _ in range(scaled(_MOST_ROUNDS, 1)):
        with Load(suite.api, scaled(3000, 50), 16, host=host) as warm:
            pass
        warm.check()
        eventually(lambda: suite.api.containers() == [], "an empty suite")
        last, memory = memory, _least_pss_kb(suite)
        if last and max(ratio for name, ratio in _grown(last, memory).items() if name != "nats") < _AT_REST:
            break
    return memory


def test_r6_nothing_is_left(suite: ChaosSuite, figures: Figures) -> None:
    """With published ports."""
    host: dict[str, object] = {"NetworkMode": "bridge", "PortBindings": {PORT: [{"HostPort": ""}]}}
    memory = _filled(suite, host)
    before = _settled(suite)
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
    after = _least_pss_kb(suite)
    grown = _grown(memory, after)
    stored = 1024 * (after["nats"] - memory["nats"]) // load.done
    ours = {name: round(ratio, 3) for name, ratio in grown.items() if name != "nats"}
    if FULL:
        assert {name: ratio for name, ratio in ours.items() if ratio > _GROWTH} == {}
        assert stored < _NATS_BYTES
    figures.show(
        "R6",
        f"{load.done} lives with published ports: {before.total} things of ten kinds before and after; memory x "
        f"{max(ours.values()):.3f} at most ({ours}); NATS +{stored} bytes per life, for the history that it keeps",
    )


def _settled(suite: ChaosSuite) -> census.Census:
    """Once nothing comes or goes any more."""
    last = census.take(suite)
    for _ in range(_LOOKS):
        time.sleep(1)
        last, before = census.take(suite), last
        if not last.beyond(before) and not before.beyond(last):
            break
    return last


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
