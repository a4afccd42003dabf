"""10,000 containers on one node: with them each service is killed, is there again soon, and works as before."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.measure import resident
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]
_AT_ONCE = 16
_SOON_S = 60.0
_MIB = 1 << 20


def test_many_containers(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    count, since = scaled(10_000, 200), time.time()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        made = list(pool.map(lambda number: Client(suite.api).create(f"many-{number}", "exit 5"), range(count)))
        back = {}
        for service, container in zip(("agent", "metadata", "scheduler", "api", "nats"), made, strict=False):
            began = time.monotonic()
            suite.restarted(service, suite.kill(service), _SOON_S)
            suite.whole()
            rows = client.steadily("GET", "/containers/json?all=1").json()
            assert {row["Id"] for row in rows} == set(made)
            client.start(container)
            assert client.wait(container) == 5
            back[service] = time.monotonic() - began
        began = time.monotonic()
        client.steadily("GET", "/containers/json?all=1")
        listed = time.monotonic() - began
        memory = {name: resident(pid) // _MIB for name, pid in suite.processes().items()}
        list(pool.map(lambda container: Client(suite.api).remove(container), made))
    assert client.steadily("GET", "/containers/json?all=1").json() == []
    stream.check(suite, since, made)
    figures.show(
        "L10",
        f"{count} containers on one node, listed in {listed:.2f} s; killed with them, each service was there and a "
        f"container lived after {', '.join(f'{name} {took:.1f} s' for name, took in back.items())}; MiB: {memory}",
    )
