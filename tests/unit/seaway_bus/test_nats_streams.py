import pytest

from seaway_bus.nats_streams import trouble_with_copies


@pytest.mark.parametrize(
    ("server", "replicas", "told"),
    [
        ("<nats server v2.10.27>", 1, False),
        ("<nats server v2.10.27>", 3, True),
        ("<nats server v2.11.9>", 3, True),
        ("<nats server v2.12.0-RC.1>", 3, False),
        ("<nats server v2.15.1>", 3, False),
        ("<nats server v3.0.0>", 3, False),
        ("<nats server v0.0.0-unknown>", 3, True),
        ("something", 3, False),
    ],
)
def test_which_servers_keep_copies(server: str, replicas: int, told: bool) -> None:
    assert ("2.12 or later" in trouble_with_copies(server, replicas)) == told
