"""Seaway's services as processes to supervise: their modules, and the settings that `seaway up` gives them.

A suite forks its services from one parent that has imported them all here, once, so that they share memory and need no
time to import. The rest of the CLI imports nothing of theirs, but for what `purge` asks the agent's package.
"""

import importlib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from seaway_cli.errors import CliError
from seaway_cli.hosts import Listen, Tls
from seaway_cli.layout import Layout
from seaway_cli.permissions import agent_user
from seaway_cli.supervisor import ServiceSpec
from seaway_kit.addresses import join_address
from seaway_kit.listeners import Listener
from seaway_kit.metrics_ports import metrics_address
from seaway_kit.settings import ServiceSettings, WrongSettings, default_node, validated

_COPIES: Final = 3
"""Of what is stored, where `--nats` names so many servers: one may be lost then, and writes go on."""
ORDER: Final = ("image", "metadata", "scheduler", "agent", "api")


@dataclass(frozen=True)
class SuiteOptions:
    """What the services of one suite are told.

    `passwords`: a directory with a file for each user of the NATS server, as whom the services log in; None: a server
    without users. `listen`: where that server is. `lent`: what the API listens on at its `hosts`, which the parent
    keeps. `registry_port`: where the image service listens; 0: any free one. `metrics_port`: the first of the ports for
    metrics; 0: any free ones. `own_nats`: metadata keeps the file of nodes' keys for the embedded NATS server.
    """

    layout: Layout
    token: str
    nats: str
    hosts: tuple[str, ...]
    node: str = field(default_factory=default_node)
    passwords: Path | None = None
    registry_mirrors: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    registry_port: int = 0
    default_address_pools: tuple[str, ...] = ()
    buildkit: str = ""
    buildkit_image: str = ""
    tls: Tls = field(default_factory=Tls)
    listen: Listen = field(default_factory=Listen)
    lent: tuple[Listener, ...] = ()
    metrics_port: int = 0
    metrics_token_file: Path | None = None
    log_level: str = "info"
    otlp_endpoint: str = ""
    own_nats: bool = False


def settings_of(service: str, options: SuiteOptions) -> dict[str, Any]:
    """The settings of one service, by field name."""
    layout = options.layout
    values: dict[str, Any] = {"root": layout.root, "run": layout.run, "nats": options.nats, "node": options.node}
    values["metrics"] = metrics_address(service, options.metrics_port)
    values |= {"log_level": options.log_level, "otlp_endpoint": options.otlp_endpoint}
    if options.metrics_token_file is not None:
        values["metrics_token_file"] = options.metrics_token_file
    if options.listen.ca:
        values["nats_ca"] = options.listen.ca
    if options.passwords is not None:
        user = agent_user(options.node) if service == "agent" else service
        values |= {"nats_user": user, "nats_password_file": options.passwords / user}
    return values | _particular(service, options)


def _particular(service: str, options: SuiteOptions) -> dict[str, Any]:
    """What only this service is told."""
    layout = options.layout
    if service == "agent":
        return {"suite": options.token}
    if service == "metadata":
        replicas: dict[str, Any] = {"replicas": _COPIES} if options.nats.count(",") >= _COPIES - 1 else {}
        if options.own_nats:
            replicas |= {"node_keys": layout.node_keys, "supervisor": layout.control}
        return replicas | {"default_address_pool": options.default_address_pools}
    if service == "image":
        registries = {"registry_mirror": options.registry_mirrors, "insecure_registry": options.insecure_registries}
        return registries | _blobs(options.listen, options.registry_port)
    if service == "api":
        tls = options.tls
        files = {"tls_cert": tls.cert, "tls_key": tls.key, "tls_ca": tls.ca if tls.verify else ""}
        files |= {"buildkit": options.buildkit, "buildkit_image": options.buildkit_image}
        return {"host": options.hosts} | {name: text for name, text in files.items() if text}
    return {}


def _blobs(listen: Listen, port: int) -> dict[str, Any]:
    """Where the image service listens, if not on loopback at any free port."""
    tls = listen.tls
    address = {"http": join_address(listen.host, port)} if listen.open or port else {}
    return address | ({"http_cert": tls.cert, "http_key": tls.key} if listen.open else {})


def specs(options: SuiteOptions) -> Iterator[ServiceSpec]:
    """All services, in the order of their start. Raises CliError for settings that one of them refuses."""
    for service in ORDER:
        module = importlib.import_module(f"seaway_{service}.main")
        lent = options.lent if service == "api" else ()
        yield spec_of(service, module.run, settings_of(service, options), lent)


def spec_of(
    service: str, run: typing.Callable[..., int], values: Mapping[str, Any], lent: Sequence[Listener] = ()
) -> ServiceSpec:
    """One service from its `run(settings)` function, whose parameter's type says what the settings are.

    Where sockets are lent to it, it is called as `run(settings, lent)`.
    """
    kind: type[ServiceSettings] = typing.get_type_hints(run)["settings"]
    try:
        settings = validated(kind, values)
    except WrongSettings as error:
        raise CliError(f"{service}: {error}", exit_code=2) from None
    if not lent:
        return ServiceSpec(service, lambda: run(settings))
    theirs = [replace(one, path=None) for one in lent]  # it is the parent that takes the path away
    return ServiceSpec(service, lambda: run(settings, theirs), share=tuple(one.socket.fileno() for one in lent))
