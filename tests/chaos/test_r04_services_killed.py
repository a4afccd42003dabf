"""R4: services and the bus killed in turn while containers come and go."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import scaled
from chaos_rig.suite import ChaosSuite
from chaos_rig.talks import Talks
from e2e_rig.registry import Registry

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_IN_TURN = ("api", "image", "metadata", "scheduler", "nats")
_WHOLE_S = 10.0
_TOLD_S = 20.0


def test_r4_killed_in_turn_under_load(suite: ChaosSuite, client: Client, figures: Figures, tmp_path: Path) -> None:
    rounds = scaled(8, 1)
    back = []
    with (
        Load(suite.api, scaled(800, 60), 8, script="sleep 0.1; exit {code}", lasting=True) as load,
        Talks(suite.api, tmp_path) as talks,
    ):
        talks.go_on()
        for service in _IN_TURN * rounds:
            load.goes_on()
            in_hand = load.in_hand
            old = suite.kill(service)
            began = time.monotonic()
            assert in_hand > 0
            suite.restarted(service, old)
            suite.whole()
            assert client.steadily("GET", "/containers/json").status == 200
            load.goes_on()
            back.append(time.monotonic() - began)
            talks.go_on()
    load.check()
    assert talks.failures == []
    assert len(back) == len(_IN_TURN) * rounds and max(back) < _WHOLE_S, back
    events = stream.check(suite, load.since, [one.container for one in load.outcomes])
    figures.show(
        "R4",
        f"{load.done} lives, {len(back)} kills under load: 0 lost, {events} events without gap or double; whole again, "
        f"and a life ended, in {max(back):.1f} s at most; longest life {load.longest_s:.1f} s, clients tried again "
        f"{load.refused} times. {talks.done['exec']} execs and {talks.done['attach']} attached lives with the right "
        f"output and code, of which {talks.broken.total()} broke off and said so",
    )


def test_r4_image_killed_in_a_pull(suite: ChaosSuite, client: Client, registry: Registry, figures: Figures) -> None:
    """From a registry that takes the connection and says nothing. The client is told, soon and clearly."""
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        path = f"/images/create?fromImage=127.0.0.1:{silent.getsockname()[1]}/lib/busybox&tag=1"
        pulling = pool.submit(suite.api.request, "POST", path, timeout=60)
        with silent.accept()[0]:
            old = suite.kill("image")
            began = time.monotonic()
            reply = pulling.result()
    took = time.monotonic() - began
    assert reply.status == 503 or b'"error"' in reply.body, reply
    assert b"image service" in reply.body, reply
    suite.restarted("image", old)
    suite.whole()
    image = f"{registry.address}/lib/busybox"
    assert b'"error"' not in client.steadily("POST", f"/images/create?fromImage={image}&tag=1").body
    assert client.steadily("DELETE", f"/images/{image}:1").status == 200
    assert took < _TOLD_S
    figures.show("R4", f"image killed in a pull: told after {took:.1f} s")
