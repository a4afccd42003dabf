"""Upgrade: services and the agent are replaced one by one, under load, by others that speak a later catalogue."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.commands import Commands
from chaos_rig.figures import Figures
from chaos_rig.load import Load, lives
from chaos_rig.pieces import Pieces
from chaos_rig.scale import scaled
from e2e_rig import images
from e2e_rig.waits import eventually

from seaway_testing.nats_server import NatsServer

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_ORDER = ("metadata", "scheduler", "image", "agent", "api")
_TAR = {"Content-Type": "application/x-tar"}


@pytest.fixture
def pieces(chaos_directory: Path) -> Iterator[Pieces]:
    """All services, each by itself, speaking as the last release did."""
    place = Path(tempfile.mkdtemp(prefix="u-", dir=chaos_directory))
    nats = NatsServer(place / "nats", extra="max_payload: 8MB").start()
    try:
        with contextlib.closing(Pieces(place, nats)) as made:
            made.start()
            reply = made.api.request("POST", "/images/load", images.busybox_archive(), _TAR)
            assert reply.status == 200, reply
            yield made
    finally:
        nats.kill()


@pytest.mark.parametrize("order", [_ORDER, _ORDER[::-1]], ids=["the API last", "the API first"])
def test_services_are_replaced_one_by_one(
    pieces: Pieces, figures: Figures, tmp_path: Path, order: tuple[str, ...]
) -> None:
    client, count = Client(pieces.api), scaled(50, 10)
    since = time.time()
    os.mkfifo(tmp_path / "go")
    binds = [f"{tmp_path}:/place"]
    script = "read word < /place/go; exit {}"
    waiting = [client.create(f"w-{number}", script.format(number), Binds=binds) for number in range(count)]
    for container in waiting:
        client.start(container)
    pids = [client.state(container)["Pid"] for container in waiting]
    with (
        Load(pieces.api, scaled(500, 40), 8, script="sleep 0.1; exit {code}", lasting=True) as load,
        Commands(pieces.api, tmp_path) as commands,
    ):
        for service in order:
            load.goes_on(3)
            pieces.replace(service)
            load.goes_on(3)
            assert [client.state(container)["Pid"] for container in waiting] == pids
    eventually(commands.settled, "what was acknowledged")
    commands.check()
    load.check()
    (tmp_path / "go").write_text("\n" * count)
    assert [client.wait(container) for container in waiting] == list(range(count))
    told = lives(client, since)
    assert {told[container] for container in waiting} == {("create", "start", "die")}
    stream.check(pieces, since, [*waiting, *(one.container for one in load.outcomes)])
    pieces.api.remove_all()
    figures.show(
        "U1",
        f"{len(order)} services that spoke as {pieces.release} did replaced one by one, {order[0]} first: {count} "
        f"containers went on, {load.done} lives right, {len(commands.acknowledged)} commands done once; longest life "
        f"{load.longest_s:.1f} s",
    )
