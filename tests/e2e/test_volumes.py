"""Volumes: what a new one is filled with, and when one goes."""

import json
import subprocess
import tarfile
import time
from collections.abc import Iterator
from typing import Any

import pytest
from e2e_rig import images
from e2e_rig.api import Api, EventStream, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine

pytestmark = pytest.mark.root
LOOK = "cd /data && find . | sort | xargs stat -c '%n %F %u:%g %a %s'"
WHOLE = [
    ". directory 1000:1000 2750 4096",
    "./fifo fifo 1000:1000 620 0",
    "./link symbolic link 0:0 777 11",
    "./sub directory 1000:1000 700 4096",
    "./sub/tool regular file 0:0 4755 5",
]


def rich_archive() -> bytes:
    """An image whose VOLUME has an owner and holds what copies get wrong."""
    layer = images.Layer()
    layer.directory("data", 0o2750, uid=1000)
    layer.directory("data/sub", 0o700, uid=1000)
    layer.file("data/sub/tool", b"tool\n", 0o4755)
    layer.link("data/link", "/etc/passwd")
    layer._add("data/fifo", 0o620, tarfile.FIFOTYPE, uid=1000)
    layer.file("file", b"x")
    config = {"Cmd": ["sh"], "Volumes": {"/data": {}}}
    return images.archive([images.busybox_layer(), layer.bytes()], config, ["rich:latest"])


@pytest.fixture(scope="module")
def rich(docker_cli: DockerCli) -> Iterator[str]:
    docker_cli("load", input=rich_archive())
    yield "rich:latest"
    docker_cli("rmi", "--force", "rich:latest")


@pytest.fixture
def volume(cli: DockerCli, name: str) -> str:
    return f"v-{name}"


def volume_of(api: Api, container: str, target: str = "/data") -> str:
    """The name of what is mounted there."""
    mounts = api.get(f"/containers/{container}/json")["Mounts"]
    return next(str(mount["Name"]) for mount in mounts if mount["Destination"] == target)


def past(api: Api, since: float, **wanted: str) -> list[dict[str, Any]]:
    """The events since then and until now."""
    query = f"since={since:.9f}&until={time.time() + 0.001:.9f}&{filters(**wanted)}"
    return [json.loads(line) for line in api.request("GET", f"/events?{query}").body.splitlines()]


def exists(engine: Engine, volume: str) -> bool:
    return any(engine.root.glob(f"**/volumes/{volume}/_data"))


def test_a_new_one_is_filled_from_the_image(cli: DockerCli, rich: str, volume: str) -> None:
    shown = cli("run", "--rm", "-v", f"{volume}:/data", rich, "sh", "-c", LOOK).lines
    assert [line for line in shown if "fifo" not in line] == [line for line in WHOLE if "fifo" not in line]
    assert "./fifo fifo 1000:1000 620 0" in shown


def test_its_owner_can_write_there(cli: DockerCli, rich: str) -> None:
    assert cli("run", "--rm", "-u", "app", rich, "sh", "-c", "echo hers > /data/sub/f; cat /data/sub/f").out == "hers"


def test_it_is_filled_when_the_container_is_made(cli: DockerCli, engine: Engine, rich: str, volume: str) -> None:
    """And never at a start: what somebody has emptied since stays so."""
    first = cli("create", "-v", f"{volume}:/data", rich, "ls", "/data").out
    (data,) = engine.root.glob(f"**/volumes/{volume}/_data")
    assert {path.name for path in data.iterdir()} == {"fifo", "link", "sub"}
    subprocess.run(["find", data, "-mindepth", "1", "-delete"], check=True)
    assert cli("start", "-a", first).out == ""
    assert cli("run", "--rm", "-v", f"{volume}:/data", rich, "ls", "/data").lines == ["fifo", "link", "sub"]


def test_what_is_there_stays_alone(cli: DockerCli, rich: str, volume: str) -> None:
    cli("run", "--rm", "-v", f"{volume}:/v", "busybox", "touch", "/v/own")
    assert cli("run", "--rm", "-v", f"{volume}:/data", rich, "ls", "/data").out == "own"


def test_not_where_that_is_not_wanted(cli: DockerCli, rich: str, volume: str) -> None:
    assert cli("run", "--rm", "-v", f"{volume}:/data:nocopy", rich, "ls", "/data").out == ""


def test_a_piece_of_one(cli: DockerCli, rich: str, volume: str) -> None:
    cli("run", "--rm", "-v", f"{volume}:/v", "busybox", "mkdir", "/v/piece")
    mount = f"type=volume,src={volume},dst=/data,volume-subpath=piece"
    made = cli("create", "--mount", mount, rich, "ls", "/data").out
    assert b"tool\n" in cli("cp", f"{made}:/data/sub/tool", "-").stdout
    assert cli("start", "-a", made).lines == ["fifo", "link", "sub"]
    assert cli("run", "--rm", "-v", f"{volume}:/v", "busybox", "ls", "/v").out == "piece"


def test_a_file_of_the_image_is_no_place_for_one(cli: DockerCli, engine: Engine, rich: str, volume: str) -> None:
    refused = cli.try_("create", "-v", f"{volume}:/file", rich)
    assert refused.code == 1 and "is not directory" in refused.err
    refused = cli.try_("create", "-v", "/file", rich)
    assert refused.code == 1 and "cannot mount volume over existing file, file exists" in refused.err
    assert cli("ps", "-aq").out == ""


def test_the_image_is_filled_in_before_anything_is_copied_in(cli: DockerCli, rich: str, volume: str) -> None:
    made = cli("create", "-v", f"{volume}:/data", rich, "ls", "/data").out
    cli("cp", "/etc/hostname", f"{made}:/data/given")
    assert cli("start", "-a", made).lines == ["fifo", "given", "link", "sub"]


@pytest.mark.parametrize("stored", [False, True])
def test_events(cli: DockerCli, api: Api, rich: str, volume: str, stored: bool) -> None:
    since = time.time()
    with EventStream(api, f"since={since:.9f}") as live:
        made = cli("create", "-v", f"{volume}:/more:ro", rich, "true").out
        anonymous = volume_of(api, made)
        cli("start", "-a", made)
        cli("rm", "-v", made)
        events = live.until("destroy", made)
    if stored:
        events = past(api, since)
    told = [f"{event['Type']} {event['Action']}" for event in events if event["Action"] != "attach"]
    created = ["volume create", "volume create", "container create"]
    started = ["network connect", "volume mount", "volume mount", "container start"]
    ended = ["network disconnect", "volume unmount", "volume unmount", "container die"]
    assert told == [*created, *started, *ended, "volume destroy", "container destroy"]
    found = {
        (event["Action"], event["Actor"]["ID"]): event["Actor"]["Attributes"]
        for event in events
        if event["Type"] == "volume"
    }
    local, held = {"driver": "local"}, {"driver": "local", "container": made}
    shown = {"propagation": "", "read/write": "true", "destination": "/data"}
    assert found == {
        ("create", volume): local,
        ("create", anonymous): local,
        ("mount", volume): {**held, "propagation": "", "read/write": "false", "destination": "/more"},
        ("mount", anonymous): {**held, **shown},
        ("unmount", volume): held,
        ("unmount", anonymous): held,
        ("destroy", anonymous): local,
    }
    only = past(api, since, type="volume", volume=anonymous)
    assert [event["Action"] for event in only] == ["create", "mount", "unmount", "destroy"]


# --- taken over


@pytest.mark.parametrize("suffix", ["", ":ro"])
def test_volumes_from_another_container(cli: DockerCli, api: Api, rich: str, suffix: str) -> None:
    first = cli("run", "-d", "-v", "/more", rich, "sh", "-c", "echo here > /more/f; sleep 600").out
    second = cli("create", "--volumes-from", first + suffix, "busybox", "cat", "/more/f", "/data/sub/tool").out
    assert [volume_of(api, one) for one in (first, second)] == [volume_of(api, first)] * 2
    mounts = api.get(f"/containers/{second}/json")["Mounts"]
    shown = {mount["Destination"]: (mount["RW"], mount["Mode"]) for mount in mounts}
    assert shown == {"/data": (not suffix, ""), "/more": (not suffix, "")}
    cli("exec", first, "sh", "-c", "until [ -s /more/f ]; do sleep 0.02; done")
    assert cli("start", "-a", second).lines == ["here", "tool"]
    written = cli.try_("run", "--rm", "--volumes-from", first + suffix, "busybox", "touch", "/data/new")
    assert (written.code, "Read-only file system" in written.err) == ((1, True) if suffix else (0, False))


def test_an_anonymous_one_goes_with_the_last_that_has_it(cli: DockerCli, api: Api, engine: Engine, rich: str) -> None:
    first = cli("run", "-d", "--rm", rich, "sleep", "600").out
    name = volume_of(api, first)
    second = cli("create", "--volumes-from", first, "busybox", "ls", "/data").out
    cli("run", "--rm", "--volumes-from", second, "busybox", "true")
    cli("rm", "-fv", first)
    assert exists(engine, name)
    assert cli("start", "-a", second).lines == ["fifo", "link", "sub"]
    cli("rm", "-v", second)
    assert not exists(engine, name)


def test_an_anonymous_one_that_is_named_elsewhere_stays(cli: DockerCli, api: Api, engine: Engine, rich: str) -> None:
    first = cli("create", rich).out
    name = volume_of(api, first)
    second = cli("create", "-v", f"{name}:/v", "busybox").out
    cli("rm", "-v", first)
    assert exists(engine, name)
    cli("rm", "-v", second)
    assert exists(engine, name)


def test_without_v_they_stay(cli: DockerCli, api: Api, engine: Engine, rich: str) -> None:
    made = cli("create", rich).out
    name = volume_of(api, made)
    cli("rm", made)
    assert exists(engine, name)
