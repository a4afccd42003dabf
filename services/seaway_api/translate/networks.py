"""Networks: what is refused in a create body, the record that it makes, and what inspect and list show. Pure.

The sentences are those of dockerd 26.1. What depends on other networks is metadata's to refuse.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from seaway_api.translate.network_options import check_options
from seaway_api.translate.version import NEWEST, ApiVersion
from seaway_contracts.containers import ContainerRecord
from seaway_contracts.docker_errors import no_such_plugin
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import DRIVERS, NetworkRecord, Pool, network_id
from seaway_contracts.nodes import BridgeFacts
from seaway_docker.errors import NODE_NOT_SWARM, InvalidParameter
from seaway_docker.ipam import are_overlapping, check_addresses, check_ipam, subnets
from seaway_docker.model_network import IPAM, NetworkCreate
from seaway_docker.networks import DRIVERS as PREDEFINED
from seaway_docker.object_filters import NetworkFacts
from seaway_docker.timestamps import rfc3339nano

_MOST_NAME: Final = 255
_IPV4_CHOSEN_SINCE: Final[ApiVersion] = (1, 48)
_OPERATOR_FIELDS: Final = (
    "configuration network can only contain network specific fields. Network operator fields like "
    "[ ingress | internal | attachable | scope ] are not supported."
)
_OWN_CONFIG: Final = "user specified configurations are not supported if the network depends on a configuration network"


def network_record(
    body: NetworkCreate, identifier: str, created_ns: int, version: ApiVersion = NEWEST
) -> NetworkRecord:
    """The network that a body asks for. Raises InvalidParameter, SeawayError."""
    if version < _IPV4_CHOSEN_SINCE:
        body = body.model_copy(update={"enable_ipv4": None})
    ipam = body.ipam or IPAM()
    _check(body, ipam)
    pools = tuple(
        Pool(
            subnet=pool.subnet,
            range=pool.ip_range,
            gateway=pool.gateway,
            auxiliary=dict(pool.auxiliary or {}),
            gateway_asked=bool(pool.gateway),
        )
        for pool, subnet in zip(ipam.config or (), subnets(ipam), strict=True)
        if subnet.version == 4 or body.enable_ipv6
    )
    return NetworkRecord(
        id=identifier,
        name=body.name,
        created_ns=created_ns,
        driver=body.driver if body.driver and not body.config_only else "bridge",
        pools=pools,
        ipv6=body.enable_ipv6,
        internal=body.internal,
        attachable=body.attachable,
        config_only=body.config_only,
        config_from=_config_from(body),
        ipam_options=ipam.options,
        options=dict(body.options or {}),
        labels=dict(body.labels or {}),
    )


def _check(body: NetworkCreate, ipam: IPAM) -> None:
    if body.name in (*PREDEFINED, "default"):
        raise _forbidden(f"operation is not permitted on predefined {body.name} network ")
    if body.enable_ipv4 is False:
        raise InvalidParameter("IPv4 can't be disabled: each network has IPv4 addresses")
    if body.driver == "overlay":
        raise _forbidden(NODE_NOT_SWARM)
    check_ipam(ipam, ipv6=body.enable_ipv6)
    if not body.name.strip():
        raise InvalidParameter(f"invalid name: {body.name}")
    if len(body.name.encode()) > _MOST_NAME:
        raise InvalidParameter(
            f"invalid name: it has {len(body.name.encode())} bytes, at most {_MOST_NAME} are possible"
        )
    _check_config_network(body, ipam)
    drivers = DRIVERS if body.config_only else (body.driver or "bridge",)
    if not body.config_only:
        _check_driver(body, drivers[0])
    _check_pools(drivers[0], ipam, ipv6=body.enable_ipv6)
    for driver in drivers:
        check_options(driver, body.options or {})


def _check_config_network(body: NetworkCreate, ipam: IPAM) -> None:
    """What a configuration network, or one that depends on such a network, can't have."""
    if body.config_only and (body.ingress or body.internal or body.attachable or body.scope):
        raise _forbidden(_OPERATOR_FIELDS)
    if not _config_from(body):
        return
    if body.config_only:
        raise _forbidden("a configuration network cannot depend on another configuration network")
    if ipam.driver not in ("", "default") or ipam.config or ipam.options or body.enable_ipv6 or body.labels:
        raise _forbidden(_OWN_CONFIG)
    if body.options:
        raise _forbidden("network driver options are not supported if the network depends on a configuration network")


def _config_from(body: NetworkCreate) -> str:
    return body.config_from.network if body.config_from else ""


def _check_driver(body: NetworkCreate, driver: str) -> None:
    if driver not in (*DRIVERS, *PREDEFINED.values()):
        raise no_such_plugin(driver)
    if body.ingress:
        raise _forbidden("Ingress network can only be global scope network")
    if body.scope == "swarm":
        raise _forbidden("cannot create a swarm scoped network when swarm is not active")
    if driver not in DRIVERS:
        raise _forbidden(f'only one instance of "{driver}" network is allowed')


def _check_pools(driver: str, ipam: IPAM, *, ipv6: bool) -> None:
    if ipam.driver == "null":
        text = "null ipam driver does not handle specific address pool requests"
        raise InvalidParameter(text if ipam.config else "ipv4 pool is empty")
    if ipam.driver not in ("", "default"):
        raise no_such_plugin(ipam.driver)
    check_addresses(ipam, ipv6=ipv6)
    found = subnets(ipam, ipv6=ipv6)
    if are_overlapping(found):
        raise _forbidden("Pool overlaps with other one on this address space")
    versions = [subnet.version for subnet in found]
    if len(versions) > len(set(versions)):
        raise _forbidden(f"{driver} driver doesn't support multiple subnets")


def _forbidden(text: str) -> SeawayError:
    return SeawayError(Code.FORBIDDEN, text)


# --- shown


def network_json(network: NetworkRecord, records: Iterable[ContainerRecord] = ()) -> dict[str, Any]:
    """A network of users, with those of the containers that run in it."""
    return _fields(network) | {"Containers": _members(network.id, records)}


def predefined_json(
    name: str, records: Iterable[ContainerRecord] = (), bridges: Sequence[BridgeFacts] = ()
) -> dict[str, Any]:
    """A network that every node has. `bridges` are the nodes': each shows its subnet, the first one its options too."""
    record = NetworkRecord(id=network_id(name), name=name, created_ns=0, driver=PREDEFINED[name])
    fields = _fields(record) | {"Containers": _members(record.id, records)}
    if name != "bridge":
        return fields
    config = [{"Subnet": bridge.subnet, "Gateway": bridge.gateway} for bridge in bridges if bridge.subnet]
    ipam = {"Driver": "default", "Options": None, "Config": config}
    return fields | {"IPAM": ipam, "Options": _bridge_options(bridges)}


def with_version(shown: dict[str, Any], version: ApiVersion) -> dict[str, Any]:
    """A network as clients of this API version see it."""
    return shown if version < _IPV4_CHOSEN_SINCE else shown | {"EnableIPv4": True}


def _fields(network: NetworkRecord) -> dict[str, Any]:
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339nano(network.created_ns),
        "Scope": "local",
        "Driver": shown_driver(network),
        "EnableIPv6": network.ipv6,
        "IPAM": {
            "Driver": "default",
            "Options": network.ipam_options,
            "Config": [_pool(pool) for pool in network.pools] or None,
        },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": network.config_from},
        "ConfigOnly": network.config_only,
        "Containers": {},
        "Options": network.options,
        "Labels": network.labels,
    }


def shown_driver(network: NetworkRecord) -> str:
    """Docker's driver of a configuration network is `null`."""
    return "null" if network.config_only else network.driver


def _pool(pool: Pool) -> dict[str, Any]:
    """Docker leaves out what is empty, and a gateway that the user left to it."""
    gateway = pool.gateway if pool.gateway_asked else ""
    fields = {"Subnet": pool.subnet, "IPRange": pool.range, "Gateway": gateway, "AuxiliaryAddresses": pool.auxiliary}
    return {key: value for key, value in fields.items() if value}


def _bridge_options(bridges: Sequence[BridgeFacts]) -> dict[str, str]:
    options = {"com.docker.network.bridge.default_bridge": "true"}
    for bridge in bridges[:1]:
        options |= {
            "com.docker.network.bridge.enable_icc": "true",
            "com.docker.network.bridge.enable_ip_masquerade": "true",
            "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
            "com.docker.network.bridge.name": bridge.name,
            "com.docker.network.driver.mtu": str(bridge.mtu),
        }
    return options


def _members(identifier: str, records: Iterable[ContainerRecord]) -> dict[str, dict[str, str]]:
    return {
        record.id: {
            "Name": record.spec.name,
            "EndpointID": endpoint.endpoint_id,
            "MacAddress": endpoint.mac_address,
            "IPv4Address": _with_prefix(endpoint.address, endpoint.prefix_len),
            "IPv6Address": _with_prefix(endpoint.ipv6_address, endpoint.ipv6_prefix_len),
        }
        for record in records
        if record.status.pid
        for endpoint in record.status.endpoints
        if endpoint.network_id == identifier
    }


def _with_prefix(address: str, prefix_len: int) -> str:
    return f"{address}/{prefix_len}" if address else ""


def network_facts(network: NetworkRecord, used: Iterable[str] = ()) -> NetworkFacts:
    """What filters compare. `used`: the ids of networks in which containers run."""
    return NetworkFacts(
        network.id, network.name, shown_driver(network), labels=network.labels, in_use=network.id in set(used)
    )


def used_networks(records: Iterable[ContainerRecord]) -> frozenset[str]:
    """The ids of the networks in which containers run."""
    return frozenset(end.network_id for record in records if record.status.pid for end in record.status.endpoints)


def named_predefined(ref: str) -> str:
    """The network of every node that has this name or whole id; empty for none."""
    return next((name for name in PREDEFINED if ref in (name, network_id(name))), "")


def prefixed_predefined(ref: str) -> tuple[str, ...]:
    """The networks of every node whose ids begin with this."""
    return tuple(name for name in PREDEFINED if ref and network_id(name).startswith(ref))
