"""Limits: a service that doesn't take its messages is cut off by NATS; afterwards it makes up for what it missed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.clean import leaving_nothing
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.metadata_copy import MetadataCopy
from chaos_rig.suite import ChaosSuite
from e2e_rig.waits import eventually

from seaway_testing.nats_server import NatsServer

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
_IMPATIENT = "write_deadline: '1s'"  # as shipped: 10 s
_ASKED = 10  # one of the two copies each time, by chance
_LONG = {"long": "x" * 50_000}


@pytest.fixture
def impatient(chaos_directory: Path) -> Iterator[tuple[ChaosSuite, MetadataCopy, Path]]:
    """A suite and a second copy of metadata on a server that cuts off slow consumers soon; the server's log."""
    place = chaos_directory / "slow"
    server = NatsServer(place / "nats", extra=_IMPATIENT).start()
    suite = ChaosSuite(place / "s", nats=server.url)
    copy = MetadataCopy(place / "m", "--nats", server.url)
    try:
        suite.start()
        suite.warm()
        copy.start()
        yield suite, copy, place / "nats" / "nats.log"
    finally:
        copy.close()
        suite.purge()
        server.kill()


def test_a_slow_consumer_is_cut_off(impatient: tuple[ChaosSuite, MetadataCopy, Path], figures: Figures) -> None:
    suite, copy, log = impatient
    with leaving_nothing(suite):
        client = Client(suite.api)
        kept = []
        os.kill(copy.pid, signal.SIGSTOP)
        try:
            with Load(suite.api, 10, 4, labels=_LONG, lasting=True) as load:
                eventually(lambda: "Slow Consumer" in log.read_text(), "the copy to be cut off", 120)
                load.goes_on()
            kept = [client.create(f"kept-{number}", "exit 0") for number in range(5)]
        finally:
            os.kill(copy.pid, signal.SIGCONT)
        load.check()
        # What the copy was handed while it stood still is handed over anew, after 10 s.
        suite.settled()
        stream.check(suite, load.since, [one.container for one in load.outcomes])
        eventually(lambda: all(_listed(client) == set(kept) for _ in range(_ASKED)), "both copies to know all", 30)
    figures.show("L9", f"a metadata that stood still was cut off after {load.done} lives; then it knew all again")


def _listed(client: Client) -> set[str]:
    return {row["Id"] for row in client.steadily("GET", "/containers/json?all=1").json()}
