"""The stream as an audit log: each change by command says who asked, from where, and by which command."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Final

import nats
import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.seaway import Seaway

from seaway_kit.settings import local_actor

pytestmark = [pytest.mark.root, pytest.mark.seaway_only]
SECRETS: Final = ("hush-env", "hush-argument", "hush-label", "size=1m")
COMMANDS: Final = """
network create audited
volume create audited --opt type=tmpfs --opt device=tmpfs --opt o=size=1m,uid=0
create -i --name one -v audited:/data -v /o -e K=hush-env -l db.password=hush-label busybox sh -c 'cat #hush-argument'
start one
network connect audited one
network disconnect audited one
rename one renamed
update --memory 64m --memory-swap 64m renamed
pause renamed
unpause renamed
exec renamed true
restart -t 0 renamed
kill renamed
wait renamed
rm -v renamed
network rm audited
volume rm audited
tag busybox audited:1
rmi audited:1
container prune -f
"""
BY_COMMAND: Final = {
    *("network.create", "network.connect", "network.disconnect", "network.destroy"),
    *("volume.create", "volume.mount", "volume.destroy", "image.tag", "image.untag"),
    *("container.create", "container.start", "container.rename", "container.update", "container.pause"),
    *("container.unpause", "container.restart", "container.kill", "container.destroy", "container.exec_create"),
    *("cluster.prune", "cluster.update", "node.update", "node.add", "token.create", "token.remove"),
}
ALSO_BY_ITSELF: Final = {"network.disconnect", "network.connect"}
"""These also come with an end that nobody asked for."""


async def stored(engine: Seaway) -> list[tuple[str, dict[str, str], str]]:
    """Kind, headers and body of each event in the stream."""
    bus = await nats.connect(engine.nats_url, user="cli", password=engine.secret("cli"), inbox_prefix="_INBOX.cli")
    try:
        stream = bus.jetstream()
        events = await stream.subscribe("seaway.v1.event.>", stream="SEAWAY_EVENTS", ordered_consumer=True)
        info = await events.consumer_info()
        found = []
        for _ in range(info.num_pending + info.delivered.consumer_seq):
            event = await events.next_msg(timeout=10)
            kind = ".".join(event.subject.split(".")[4:6])
            found.append((kind, dict(event.headers or {}), event.data.decode()))
        return found
    finally:
        await bus.close()


def seaway(engine: Seaway, *words: str) -> str:
    command = [
        str(Path(sys.executable).parent / "seaway"),
        *words,
        "--root",
        str(engine.root),
        "--run",
        str(engine.run),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_every_change_says_who_did_it(engine: Seaway, cli: DockerCli) -> None:
    before = len(await stored(engine))
    for line in filter(None, COMMANDS.splitlines()):
        cli(*shlex.split(line))
    seaway(engine, "node", "label", "n1", "disk=ssd")
    seaway(engine, "cluster", "update", "--strategy", "binpack")
    seaway(engine, "node", "add", "n2")
    seaway(engine, "node", "rm", "n2")
    token = seaway(engine, "token", "create", "--label", "rack=r1").split()[2]
    seaway(engine, "token", "rm", token)
    seaway(engine, "cluster", "update", "--strategy", "spread")
    seaway(engine, "node", "label", "n1", "disk-")
    events = (await stored(engine))[before:]
    assert {kind for kind, _, _ in events} >= BY_COMMAND
    unsaid = [
        (kind, headers["ce-cause"], headers["ce-actor"], body)
        for kind, headers, body in events
        if kind in BY_COMMAND - ALSO_BY_ITSELF
        and (not headers["ce-cause"] or headers["ce-actor"] != local_actor(os.getuid()))
    ]
    assert unsaid == []
    for kind, headers, body in events:
        assert not [secret for secret in SECRETS if secret in body or secret in json.dumps(headers)], kind
