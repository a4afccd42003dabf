"""`docker compose` with what can't be done: clear words, and nothing is left."""

from collections.abc import Iterator
from typing import Any

import pytest
from e2e_rig.api import Api
from e2e_rig.compose import SLEEP, Project, service
from test_network import SERVE, fetch

from seaway_testing.ports import free_port


@pytest.fixture
def nothing_made(api: Api, compose: Project) -> Iterator[None]:
    """Containers and networks are afterwards what they were before."""
    before = _made(api)
    yield
    assert _made(api) == before


def _made(api: Api) -> tuple[list[str], list[str]]:
    return api.containers(), sorted(network["Name"] for network in api.get("/networks"))


@pytest.mark.usefixtures("nothing_made")
@pytest.mark.parametrize(
    ("services", "text"),
    [
        (
            {"a": SLEEP | {"networks": ["nope"]}},
            'service "a" refers to undefined network nope',
        ),
        ({"a": SLEEP | {"depends_on": ["b"]}, "b": SLEEP | {"depends_on": ["a"]}}, "dependency cycle detected"),
        ({"a": SLEEP | {"depends_on": ["nope"]}}, 'service "a" depends on undefined service "nope"'),
        ({"a": SLEEP | {"volumes": ["nope:/v"]}}, 'service "a" refers to undefined volume nope'),
        ({"a": SLEEP | {"secrets": ["nope"]}}, 'service "a" refers to undefined secret nope'),
        ({"a": SLEEP | {"configs": ["nope"]}}, 'service "a" refers to undefined config nope'),
        ({"a": SLEEP | {"network_mode": "service:nope"}}, 'depends on undefined service "nope"'),
        ({"a": SLEEP | {"ports": ["x:y"]}}, "Invalid containerPort: y"),
        ({"a": SLEEP | {"nope": 1}}, "Additional property nope is not allowed"),
        ({"a": {}}, "has neither an image nor a build context"),
        ({}, "no service selected"),
    ],
)
def test_what_compose_refuses(compose: Project, services: dict[str, Any], text: str) -> None:
    compose.write(services=services)
    done = compose.try_("up", "-d")
    assert done.code != 0 and text in done.err and done.err


@pytest.mark.usefixtures("nothing_made")
@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"image": "nope-nope:1", "pull_policy": "never"}, "No such image: nope-nope:1"),
        ({"mem_limit": "1k"}, "Minimum memory limit allowed is 6MB"),
        ({"cap_add": ["NOPE"]}, "NOPE"),
        ({"restart": "nope"}, "invalid restart policy"),
        ({"network_mode": "container:nope"}, "No such container: nope"),
        ({"runtime": "nope"}, "unknown or invalid runtime name: nope"),
        ({"sysctls": {"kernel.shmmax": "x", "nope.x": "1"}}, ""),
    ],
)
def test_what_the_engine_refuses(compose: Project, fields: dict[str, Any], text: str) -> None:
    """What compose has made before, `down` takes away."""
    compose.services(a=service(**fields))
    done = compose.try_("up", "-d")
    assert done.code != 0 and text in done.err and done.err, done
    compose.down()


@pytest.mark.usefixtures("nothing_made")
def test_a_port_in_use(compose: Project) -> None:
    port = free_port()
    holder = compose.cli("run", "-d", "-p", f"127.0.0.1:{port}:80", *SERVE).out
    compose.services(a=service(command=list(SERVE[1:]), ports=[f"127.0.0.1:{port}:80"]))
    done = compose.try_("up", "-d")
    assert done.code == 1 and "port is already allocated" in done.err
    assert compose.states() == {"a-1": "created"}
    compose.cli("rm", "-f", holder)
    compose.up()
    assert fetch("127.0.0.1", port) == "served\n"
    compose.down()


@pytest.mark.usefixtures("nothing_made")
def test_networks_that_overlap(compose: Project) -> None:
    pool = {"ipam": {"config": [{"subnet": "10.91.0.0/24"}]}}
    compose.write(services={"a": service(networks=["x", "y"])}, networks={"x": pool, "y": pool})
    done = compose.try_("up", "-d")
    assert done.code == 1 and "Pool overlaps with other one on this address space" in done.err
    compose.down()


@pytest.mark.usefixtures("nothing_made")
def test_a_network_in_use_is_left(compose: Project) -> None:
    compose.services(a=service()).up()
    guest = compose.cli("run", "-d", "--network", f"{compose.name}_default", "busybox", "sleep", "600").out
    done = compose.try_("down", "-t", "0")
    assert "has active endpoints" in done.err + done.out or "in use" in done.err, done
    compose.cli("rm", "-f", guest)
    compose.down()


@pytest.mark.usefixtures("nothing_made")
def test_a_name_in_use(compose: Project) -> None:
    taken = compose.cli("run", "-d", "--name", compose.name, "busybox", "sleep", "600").out
    compose.services(a=service(container_name=compose.name))
    done = compose.try_("up", "-d")
    assert done.code == 1 and f'The container name "/{compose.name}" is already in use' in done.err
    compose.cli("rm", "-f", taken)
    compose.up()
    compose.down()


@pytest.mark.usefixtures("nothing_made")
@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("exec", "-T", "nope", "true"), 'service "nope" is not running'),
        (("exec", "-T", "a", "true"), 'service "a" is not running'),
        (("run", "--rm", "nope"), "no such service: nope"),
        (("up", "-d", "nope"), "no such service: nope"),
        (("cp", "nope", "a:/x"), 'no container found for service "a"'),
        (("start",), "has no container to start"),
        (("port", "a", "80"), 'service "a" is not running'),
        (("nope",), 'unknown docker command: "compose nope"'),
    ],
)
def test_commands_in_vain(compose: Project, words: tuple[str, ...], text: str) -> None:
    compose.services(a=service())
    done = compose.try_(*words)
    assert done.code != 0 and text in done.err, done
