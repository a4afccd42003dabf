"""The example of users for an outside NATS server grants what the catalogue asks for."""

from pathlib import Path

from seaway_cli.nats_config import outside


def test_it_is_what_the_permissions_say() -> None:
    stored = (Path(__file__).parents[3] / "deploy" / "nats" / "users.conf").read_text()
    assert stored == outside(["n1"]), "python -m seaway_cli.nats_config n1 > deploy/nats/users.conf"
