"""`docker compose` with networks: names, aliases, addresses, ports, shared namespaces."""

from typing import Any

import pytest
from e2e_rig.api import Api
from e2e_rig.compose import Project, service
from e2e_rig.networks import NOWHERE, address, looked_up, reaches
from e2e_rig.waits import eventually
from e2e_rig.world import OUTSIDE
from test_network import SERVE, fetch

from seaway_testing.ports import free_port

SUBNET = {"ipam": {"config": [{"subnet": "10.91.0.0/24"}]}}


def serving(**fields: Any) -> dict[str, Any]:
    """A service that answers HTTP."""
    return service(command=list(SERVE[1:]), **fields)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def shop(compose: Project, port: int) -> Project:
    """Three services in two networks, one of them without a way out; they run."""
    compose.write(
        services={
            "web": serving(networks={"front": {"aliases": ["shop"]}, "back": {}}),
            "entry": serving(
                networks={"front": {"ipv4_address": "10.91.0.77"}}, ports=[f"127.0.0.1:{port}:80"], dns=NOWHERE
            ),
            "db": service(networks=["back"], dns=NOWHERE, depends_on=["web"]),
        },
        networks={"front": SUBNET, "back": {"internal": True}},
    ).up()
    return compose


def seen(compose: Project, by: str, *names: str) -> dict[str, set[str]]:
    return looked_up(compose.cli, compose.box(by), *names)


def test_names_aliases_and_ports(shop: Project, port: int) -> None:
    assert fetch("127.0.0.1", port) == "served\n"
    eventually(lambda: reaches(shop.cli, shop.box("db"), "web"), "the service by its name")
    assert seen(shop, "entry", "entry")["entry"] == {"10.91.0.77"}
    assert seen(shop, "db", "entry")["entry"] == set(), "it is in another network"
    assert shop.try_("exec", "-T", "db", "ping", "-c1", "-W1", OUTSIDE).code == 1


def test_a_name_has_all_replicas(shop: Project) -> None:
    shop.up("--scale", "web=3")
    assert len(seen(shop, "db", "web")["web"]) == 3
    assert len(seen(shop, "entry", "shop")["shop"]) == 3
    shop("restart", "-t", "0", "web")
    eventually(lambda: len(seen(shop, "db", "web")["web"]) == 3, "all of the service")
    shop.up()
    assert len(seen(shop, "db", "web")["web"]) == 1


def test_a_service_is_made_again(shop: Project) -> None:
    before = shop.inspect("web", "{{.Id}}")
    shop.up("--force-recreate", "--no-deps", "web")
    after = shop.inspect("web", "{{.Id}}")
    own = address(shop.cli, after, f"{shop.name}_back")
    assert after != before
    assert seen(shop, "db", "web", before[:12], after[:12]) == {"web": {own}, before[:12]: set(), after[:12]: {own}}
    eventually(lambda: reaches(shop.cli, shop.box("entry"), "shop"), "the new one by its alias")


def test_an_address_stays_when_its_service_is_made_again(shop: Project) -> None:
    """Compose makes the new container while the old one runs."""
    for _ in range(3):
        before = shop.inspect("entry", "{{.Id}}")
        shop.up("--force-recreate", "entry")
        assert shop.inspect("entry", "{{.Id}}") != before
        assert address(shop.cli, shop.box("entry"), f"{shop.name}_front") == "10.91.0.77"
    shop.cli("restart", "-t", "0", shop.box("entry"))
    assert address(shop.cli, shop.box("entry"), f"{shop.name}_front") == "10.91.0.77"


def test_two_services_with_one_address(compose: Project) -> None:
    one = service(networks={"net": {"ipv4_address": "10.91.0.77"}})
    compose.write(services={"a": one, "b": one | {"depends_on": ["a"]}}, networks={"net": SUBNET})
    done = compose.try_("up", "-d")
    assert done.code == 1 and "Address already in use" in done.err
    assert compose.states() == {"a-1": "running", "b-1": "created"}
    compose("rm", "-fs", "a")
    compose("start", "b")
    assert address(compose.cli, compose.box("b"), f"{compose.name}_net") == "10.91.0.77"


def test_both_families(compose: Project) -> None:
    pools = [{"subnet": "10.91.0.0/24"}, {"subnet": "fd00:91::/64"}]
    fixed = {"ipv4_address": "10.91.0.5", "ipv6_address": "fd00:91::5"}
    compose.write(
        services={"a": service(networks={"net": fixed})},
        networks={"net": {"enable_ipv6": True, "ipam": {"config": pools}}},
    )
    for _ in range(2):
        compose.up("--force-recreate")
        assert address(compose.cli, compose.box("a"), f"{compose.name}_net") == "10.91.0.5"
        assert address(compose.cli, compose.box("a"), f"{compose.name}_net", "GlobalIPv6Address") == "fd00:91::5"


def test_external_networks(compose: Project, api: Api) -> None:
    outer = f"{compose.name}-outer"
    compose.write(services={"a": service(networks=["e"])}, networks={"e": {"external": True, "name": outer}})
    done = compose.try_("up", "-d")
    assert done.code == 1 and f"network {outer} not found" in done.err
    assert api.containers() == []
    compose.cli("network", "create", outer)
    compose.up()
    assert outer in compose.inspect("a", "{{json .NetworkSettings.Networks}}")
    compose.down()
    assert compose.cli("network", "rm", outer).code == 0, "down has left it"


def test_a_network_that_is_declared_otherwise(shop: Project) -> None:
    """Compose makes it anew only when nobody is in it."""
    shop.write(services={"web": serving(networks=["back"])}, networks={"back": {"internal": False}})
    shop.down("--remove-orphans")
    shop.up()
    assert shop.cli("network", "inspect", f"{shop.name}_back", "--format", "{{.Internal}}").out == "false"


def test_namespaces_of_other_services(compose: Project) -> None:
    compose.services(
        a=service(hostname="aa", ipc="shareable", init=True),
        b=service(network_mode="service:a", pid="service:a", ipc="service:a"),
    ).up()
    assert compose.inside("b", "hostname; ps | grep -c '[s]leep 600'") == "aa\n3"
    assert compose.inspect("b", "{{.HostConfig.NetworkMode}}") == f"container:{compose.inspect('a', '{{.Id}}')}"
    compose.up("--force-recreate")
    assert compose.states() == {"a-1": "running", "b-1": "running"}
    assert compose.inspect("b", "{{.HostConfig.NetworkMode}}") == f"container:{compose.inspect('a', '{{.Id}}')}"


@pytest.mark.parametrize("mode", ["none", "host", "bridge"])
def test_networks_of_every_node(compose: Project, api: Api, mode: str) -> None:
    compose.services(a=service(network_mode=mode)).up()
    assert list(api.get(f"/containers/{compose.box('a')}/json")["NetworkSettings"]["Networks"]) == [mode]
    assert not [one for one in api.get("/networks") if one["Name"].startswith(compose.name)]
