"""`seaway join`: makes this machine a node, by a token and a key pair that never leaves it."""

import json
import os
import shlex
import shutil
import stat
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from seaway_bus import node_keys
from seaway_bus.ask_once import ask_once
from seaway_cli.errors import CliError, usage
from seaway_cli.layout import Layout
from seaway_cli.nats_login import Login, is_tls
from seaway_cli.permissions import JOIN, agent_user
from seaway_contracts.catalogue import ADMIT_NODE, CHECK_NODE
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.ids import check_node
from seaway_contracts.joining import AdmitNode, AdmittedNode, TokenText, parse_token
from seaway_contracts.version import VERSION
from seaway_kit.addresses import is_loopback, join_address, nats_endpoints
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.private_files import make_private_directory, write_private
from seaway_kit.settings import default_node

_POLL_S: Final = 0.05
_SLOWEST_POLL_S: Final = 0.5
"""Each poll that fails is a line in the server's log."""
_AGAIN_S: Final = 5.0
"""How often the request is repeated while NATS does not let the node in: each has the servers reload once more."""
_FAR_NS: Final = 5 * 10**9
_REFUSED: Final = frozenset({Code.FORBIDDEN, Code.CONFLICT, Code.BAD_REQUEST})


@dataclass(frozen=True)
class JoinOptions:
    """The command line of `seaway join`."""

    layout: Layout
    url: str
    token: str = field(repr=False)
    node: str | None = None
    ca: Path | None = None
    insecure: bool = False
    wait_s: float = 60.0


class _Refused(CliError):
    """The cluster has said no: it has stored nothing of this machine."""


def join(options: JoinOptions) -> str:
    """Become a node; how to start its agent. The same command again continues where it stopped. Raises CliError."""
    token, node = _checked(options)
    options = replace(options, url=_url(options))
    if trouble := Login(options.url, JOIN, token.password, options.ca).trouble():
        raise CliError(f"this machine can't join: {trouble}")
    had_root = options.layout.root.exists()
    seed, is_new = _seed(options.layout)
    request = AdmitNode(token=token.id, secret=token.secret, node=node, public_key=node_keys.public_key(seed))
    try:
        admitted = _admit(options, token, request)
    except _Refused:
        if is_new:  # else an attempt before this one may have been admitted, and its answer lost
            shutil.rmtree(options.layout.joined if had_root else options.layout.root, ignore_errors=True)
        raise
    reach(Failpoint.JOIN_ADMITTED)
    _wait(options, token, request, seed)
    reach(Failpoint.JOIN_LET_IN)
    _write_config(options, admitted, seed)
    return _how_to_start(options.layout, admitted)


def _checked(options: JoinOptions) -> tuple[TokenText, str]:
    """The token and the node's name. Raises CliError where this machine can't join."""
    node = options.node or default_node()
    try:
        token = parse_token(options.token)
        check_node(node)
    except ValueError as error:
        raise usage(str(error)) from None
    if options.ca is not None and not options.ca.is_file():
        raise usage(f"--nats-ca {options.ca}: there is no such file")
    layout = options.layout
    if layout.marker.exists():
        raise CliError(f"a suite lives in {layout.root}, and its node is no other cluster's: give another --root")
    if layout.agent_config.exists():
        raise CliError(f"this machine has joined already ({layout.agent_config}): `seaway purge` ends that")
    return token, node


def _url(options: JoinOptions) -> str:
    """The servers' URL, with TLS asked for if there is a CA. Raises CliError for one that the token must not go to."""
    try:
        servers = nats_endpoints(options.url)
    except ValueError as error:
        raise usage(str(error)) from None
    if options.ca is not None:
        return ",".join(f"tls://{join_address(*server)}" for server in servers)
    far = next((host for host, _ in servers if not is_loopback(host)), None)
    if far is not None and not is_tls(options.url) and not options.insecure:
        raise CliError(
            f"the token would go to {far} unencrypted: give the CA that has signed the server's certificate "
            "(--nats-ca FILE), or --insecure where nobody else can listen on the network"
        )
    return options.url


def _seed(layout: Layout) -> tuple[str, bool]:
    """The seed of this machine's key, and whether it was made now. Raises OSError; CliError for a bad directory."""
    if layout.root.exists():
        _check_private(layout.root, layout.root.stat())
    make_private_directory(layout.joined)
    _check_private(layout.joined, layout.joined.lstat())
    file = layout.node_key
    try:
        seed = file.read_text().strip()
        node_keys.public_key(seed)
        return seed, False
    except FileNotFoundError:
        pass
    except node_keys.BadKey:
        file.unlink(missing_ok=True)
    seed = node_keys.new_seed()
    part = file.with_name(f"nkey.{os.getpid()}")
    write_private(part, f"{seed}\n".encode())
    try:
        file.hardlink_to(part)
    except FileExistsError:  # another `seaway join` runs here: one key for both
        return file.read_text().strip(), False
    finally:
        part.unlink()
    reach(Failpoint.JOIN_KEY_MADE)
    return seed, True


def _check_private(directory: Path, found: os.stat_result) -> None:
    """Raise CliError for a directory in which another user could read or replace the key."""
    writable = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or writable:
        raise CliError(f"{directory} is no directory that only you can write to: choose another --root")


def _admit(options: JoinOptions, token: TokenText, request: AdmitNode) -> AdmittedNode:
    try:
        return ask_once(ADMIT_NODE, request, url=options.url, user=JOIN, password=token.password, ca=options.ca)
    except SeawayError as error:
        if error.code is Code.STALE:
            raise CliError(
                "the cluster took the request for one that is long past: set this machine's clock right"
            ) from None
        if error.code in _REFUSED:
            raise _Refused(f"{request.node} was refused: {error.message}") from None
        raise CliError(error.message) from None


def _wait(options: JoinOptions, token: TokenText, request: AdmitNode, seed: str) -> None:
    """Until the node's own login works and reaches the services. Raises CliError."""
    login = Login(options.url, agent_user(request.node), ca=options.ca, seed=seed)
    began = asked = time.monotonic()
    had_login, pause_s = False, _POLL_S
    while not login.reaches(CHECK_NODE.subject(request.node)):
        now = time.monotonic()
        if now - began > options.wait_s:
            raise CliError(
                f"{request.node} is admitted, but the NATS server does not let it in yet. An outside server: its owner "
                f"adds {request.node}={request.public_key} (deploy/README.md); else see whether `seaway node add` has "
                "made a node of that name. Then give the same command again."
            )
        has_login = login.works()
        if now - asked > _AGAIN_S or (has_login and not had_login):  # two reloads that were asked for may become one
            asked = now
            _admit(options, token, request)
        had_login = has_login
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.2, _SLOWEST_POLL_S)


def _write_config(options: JoinOptions, admitted: AdmittedNode, seed: str) -> None:
    """The agent's settings. The last file: it says that this machine has joined."""
    layout, node = options.layout, admitted.identity.node
    values: dict[str, Any] = {
        "node": node,
        "nats": options.url,
        "nats_user": agent_user(node),
        "nats_nkey_file": str(layout.node_key),
        "root": str(layout.root),
        "run": str(layout.run),
    }
    if options.ca is not None:
        write_private(layout.joined / "nats-ca.pem", options.ca.read_bytes())
        values["nats_ca"] = str(layout.joined / "nats-ca.pem")
    if admitted.identity.labels:
        values["label"] = [f"{key}={value}" for key, value in sorted(admitted.identity.labels.items())]
    text = "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())
    part = layout.agent_config.with_suffix(".part")
    write_private(part, text.encode())
    part.replace(layout.agent_config)


def _how_to_start(layout: Layout, admitted: AdmittedNode) -> str:
    lines = [f"Node {admitted.identity.node} has joined. Start its agent:"]
    lines.append(f"  {shlex.join(['seaway-agent', '--config', str(layout.agent_config)])}")
    if abs(off := time.time_ns() - admitted.time_ns) > _FAR_NS:
        lines.append(f"This machine's clock is {off / 1e9:+.0f} s off the cluster's: set it right.")
    if admitted.version != VERSION:
        lines.append(f"The cluster runs Seaway {admitted.version}, this machine has {VERSION}.")
    return "\n".join(lines)
