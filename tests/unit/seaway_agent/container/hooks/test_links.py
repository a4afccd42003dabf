"""What a container learns of one that it is linked to."""

import pytest
from tests.unit.seaway_agent.container.hooks.peers import NOTHING, PEER, peers, request

from seaway_agent.container.hooks.links import LinksHook
from seaway_contracts.containers import Command, ContainerNetworking, EndpointSpec, Link, PortBinding
from seaway_contracts.errors import SeawayError
from seaway_testing import builders

LINK = Link(container=PEER, name="database", alias="db")
LINKED = ContainerNetworking(endpoints=(EndpointSpec(network="bridge", links=(LINK,)),))


def test_a_link_learns_address_ports_and_environment() -> None:
    network = builders.networking(exposed_ports=("80/tcp", "5432/tcp"), ports=(PortBinding(container_port=80),))
    there = peers(network=network, command=Command(env=("A=1",)))
    parts = LinksHook(there).prepare(request(name="web", network=LINKED), NOTHING)
    lines = {"DB_PORT_80_TCP_ADDR=172.17.0.9", "DB_PORT_5432_TCP_PORT=5432", "DB_ENV_A=1", "DB_NAME=/web/db"}
    assert lines <= set(parts.env)
    assert parts.host_names == (("172.17.0.9", f"db {PEER[:12]} database"),)


@pytest.mark.parametrize("link", [LINK, LINK.model_copy(update={"container": "f" * 64})])
def test_a_link_needs_a_running_container(link: Link) -> None:
    network = ContainerNetworking(endpoints=(EndpointSpec(network="bridge", links=(link,)),))
    with pytest.raises(SeawayError) as refused:
        LinksHook(peers(pid=0)).prepare(request(name="web", network=network), NOTHING)
    assert refused.value.message == "Cannot link to a non running container: /database AS /web/db"


def test_a_link_in_a_network_of_users_is_a_name_for_the_resolver_alone() -> None:
    there = EndpointSpec(network="back", network_id="b" * 64, links=(LINK,))
    parts = LinksHook(peers(pid=0)).prepare(request(network=ContainerNetworking(endpoints=(there,))), NOTHING)
    assert (parts.host_names, parts.env) == ((), ())
