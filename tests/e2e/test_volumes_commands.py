"""`docker volume`: create, ls, inspect, rm, prune, and what other commands show of volumes."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from e2e_rig.api import Api, EventStream, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine

pytestmark = pytest.mark.root
ANONYMOUS = "com.docker.volume.anonymous"


def volumes(cli: DockerCli, *words: str) -> list[str]:
    """The names that `docker volume ls` prints with these options."""
    return sorted(cli("volume", "ls", "-q", *words).lines)


def shown(cli: DockerCli, volume: str) -> dict[str, Any]:
    """What `docker volume inspect` prints of one."""
    (found,) = json.loads(cli("volume", "inspect", volume).out)
    return dict(found)


# --- create, inspect


def test_create_and_inspect(cli: DockerCli, name: str) -> None:
    begun = time.time()
    assert cli("volume", "create", "--label", "a=b", "--label", "c", name).out == name
    found = shown(cli, name)
    made = time.mktime(time.strptime(found.pop("CreatedAt"), "%Y-%m-%dT%H:%M:%SZ")) - time.timezone
    assert int(begun) - 1 <= made <= time.time() + 1
    place = Path(found.pop("Mountpoint"))
    assert found == {
        "Driver": "local",
        "Labels": {"a": "b", "c": ""},
        "Name": name,
        "Options": None,
        "Scope": "local",
    }
    assert place.is_dir() and (place.parent.name, place.name) == (name, "_data") and list(place.iterdir()) == []


def test_create_without_a_name(cli: DockerCli) -> None:
    made = cli("volume", "create").out
    assert re.fullmatch(r"[0-9a-f]{64}", made)
    assert shown(cli, made)["Labels"] == {ANONYMOUS: ""}


def test_create_what_is_there(cli: DockerCli, name: str) -> None:
    cli("volume", "create", "--label", "a=b", name)
    before = shown(cli, name)
    assert cli("volume", "create", "--label", "c=d", "-o", "type=tmpfs", "-o", "device=tmpfs", name).out == name
    assert cli("volume", "create", name, "-o", "nonsense=1").out == name
    assert shown(cli, name) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a"], "create a: volume name is too short, names should be at least two alphanumeric characters"),
        (["a/b"], 'create a/b: "a/b" includes invalid characters for a local volume name'),
        ([".a"], 'create .a: ".a" includes invalid characters for a local volume name'),
        (["-o", "nonsense=1", "NAME"], 'create NAME: invalid option: "nonsense"'),
        (["-o", "type=nfs", "NAME"], 'create NAME: missing required option: "device"'),
        (["-o", "device=/x", "NAME"], 'create NAME: missing required option: "type"'),
        (["-o", "size=1m", "NAME"], "create NAME: quota size requested but no quota support"),
        (["-o", "size=x", "NAME"], "create NAME: invalid size: 'x'"),
        (["--type", "block", "NAME"], "This node is not a swarm manager."),
    ],
)
def test_create_is_refused(cli: DockerCli, name: str, words: list[str], message: str) -> None:
    refused = cli.try_("volume", "create", *(name if word == "NAME" else word for word in words))
    assert refused.code == 1
    assert refused.err.startswith("Error response from daemon: " + message.replace("NAME", name))
    assert volumes(cli) == []


@pytest.mark.seaway_only  # dockerd looks for the plugin for many seconds
def test_other_drivers_are_refused(cli: DockerCli, name: str) -> None:
    refused = cli.try_("volume", "create", "-d", "nope", name)
    text = f'create {name}: error looking up volume plugin nope: plugin "nope" not found'
    assert (refused.code, refused.err) == (1, f"Error response from daemon: {text}")
    for words in (
        ["--volume-driver", "nope", "-v", f"{name}:/v"],
        ["--mount", f"type=volume,src={name},dst=/v,volume-driver=nope"],
    ):
        refused = cli.try_("run", "--rm", *words, "busybox", "true")
        assert (refused.code, text in refused.err) == (125, True), words
    assert cli("run", "--rm", "--volume-driver", "nope", "busybox", "echo", "fine").out == "fine"
    assert (volumes(cli), cli("ps", "-aq").out) == ([], "")


@pytest.mark.seaway_only
def test_on_a_node(cli: DockerCli, engine: Engine, name: str) -> None:
    node = cli("inspect", "--format", "{{.Node.Name}}", cli("create", "busybox").out).out
    cli("volume", "create", "-o", f"node={node}", name)
    assert (shown(cli, name)["Options"], Path(shown(cli, name)["Mountpoint"]).is_dir()) == (None, True)
    refused = cli.try_("volume", "create", "-o", "node=nope", f"{name}-2")
    assert (refused.code, refused.err) == (1, f"Error response from daemon: create {name}-2: there is no node nope")
    assert volumes(cli) == [name]


# --- ls


def test_list(cli: DockerCli, name: str) -> None:
    assert cli("volume", "ls").lines == ["DRIVER    VOLUME NAME"]
    for end in ("c", "a", "b"):
        cli("volume", "create", name + end)
    assert cli("volume", "ls").lines[1:] == [f"local     {name}{end}" for end in "abc"]
    line = json.loads(cli("volume", "ls", "--format", "{{json .}}", "--filter", f"name={name}a").out)
    assert (line["Name"], line["Driver"], line["Links"], line["Size"]) == (f"{name}a", "local", "N/A", "N/A")


def test_filters(cli: DockerCli, name: str) -> None:
    one, two, three = (f"{name}-{number}" for number in (1, 2, 3))
    cli("volume", "create", "--label", "k=v", one)
    cli("volume", "create", "--label", "k=w", two)
    cli("run", "--rm", "-v", f"{three}:/v", "busybox", "true")
    cli("create", "-v", f"{two}:/v", "busybox")
    for terms, found in (
        (["name=-1"], [one]),
        ([f"name=^{name}$"], []),
        (["name=-1", "name=-2"], [one, two]),
        (["label=k"], [one, two]),
        (["label=k=w"], [two]),
        (["label=k", "label=k=w"], [two]),
        (["driver=local"], [one, two, three]),
        (["driver=nope"], []),
        (["dangling=true"], [one, three]),
        (["dangling=0", "label=k"], [two]),
        (["dangling=0", "label=k=v"], []),
    ):
        words = [word for term in terms for word in ("--filter", term)]
        assert volumes(cli, *words) == found, terms
    for term, message in (
        ("dangling=x", "invalid filter 'dangling=[x]'"),
        ("label!=k", "invalid filter 'label!'"),
        ("until=1h", "invalid filter 'until'"),
    ):
        refused = cli.try_("volume", "ls", "--filter", term)
        assert (refused.code, refused.err) == (1, f"Error response from daemon: {message}")


# --- rm


def test_remove(cli: DockerCli, engine: Engine, name: str) -> None:
    cli("volume", "create", name)
    place = Path(shown(cli, name)["Mountpoint"])
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "touch", "/v/file")
    assert cli("volume", "rm", name).out == name
    assert (volumes(cli), place.parent.exists()) == ([], False)
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "test", "!", "-e", "/v/file")


def test_remove_what_is_not_there(cli: DockerCli, name: str) -> None:
    cli("volume", "create", name)
    refused = cli.try_("volume", "rm", "nope", name, "neither")
    assert (refused.code, refused.out) == (1, name)
    said = [f"Error response from daemon: get {one}: no such volume" for one in ("nope", "neither")]
    assert refused.err.splitlines() == said
    assert cli("volume", "rm", "-f", "nope").out == "nope"
    assert volumes(cli) == []


@pytest.mark.parametrize("running", [True, False])
def test_one_in_use_stays(cli: DockerCli, name: str, running: bool) -> None:
    words = ["run", "-d"] if running else ["create"]
    users = [cli(*words, "-v", f"{name}:/v", "busybox", "sleep", "60").out for _ in range(2)]
    for force in ([], ["-f"]):
        refused = cli.try_("volume", "rm", *force, name)
        assert refused.code == 1
        found = re.fullmatch(rf"Error response from daemon: remove {name}: volume is in use - \[(.*)\]", refused.err)
        assert found is not None and sorted(found[1].split(", ")) == sorted(users)
    assert cli("volume", "prune", "-af").lines == ["Total reclaimed space: 0B"]
    assert volumes(cli) == [name]
    cli("rm", "-fv", *users)
    assert volumes(cli) == [name], "only anonymous volumes go with their containers"
    cli("volume", "rm", name)


# --- prune


def test_prune_takes_anonymous_ones(cli: DockerCli, name: str) -> None:
    anonymous = cli("volume", "create").out
    cli("volume", "create", name)
    used = cli("create", "-v", "/v", "busybox").out
    kept = cli("inspect", "--format", "{{(index .Mounts 0).Name}}", used).out
    left = cli("create", "-v", "/v", "busybox").out
    orphan = cli("inspect", "--format", "{{(index .Mounts 0).Name}}", left).out
    cli("rm", left)
    lines = cli("volume", "prune", "-f").lines
    assert (lines[0], sorted(lines[1:3])) == ("Deleted Volumes:", sorted([anonymous, orphan]))
    assert lines[3:] == ["", "Total reclaimed space: 0B"]
    assert volumes(cli) == sorted([name, kept])


def test_prune_takes_all(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "sh", "-c", "dd if=/dev/zero of=/v/f bs=1k count=100 2>&1")
    cli("volume", "create", "--label", "keep", f"{name}-2")
    cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", f"{name}-3")
    assert cli("volume", "prune", "-f").lines == ["Total reclaimed space: 0B"]
    with EventStream(api) as live:
        pruned = cli("volume", "prune", "-af", "--filter", "label!=keep").lines
        events = live.until("prune")
    assert pruned[:2] == ["Deleted Volumes:", name]
    assert re.fullmatch(r"Total reclaimed space: 10[0-9.]+kB", pruned[-1])
    assert [(one["Type"], one["Action"], one["Actor"]["ID"]) for one in events] == [
        ("volume", "destroy", name),
        ("volume", "prune", ""),
    ]
    assert int(events[-1]["Actor"]["Attributes"]["reclaimed"]) >= 100 << 10
    assert volumes(cli) == [f"{name}-2", f"{name}-3"], "volumes with options are left, too"


def test_old_clients_prune_all(cli: DockerCli, api: Api, name: str) -> None:
    cli("volume", "create", name)
    assert api.request("POST", "/v1.42/volumes/prune").json()["VolumesDeleted"] == []
    assert api.request("POST", "/v1.41/volumes/prune").json() == {"VolumesDeleted": [name], "SpaceReclaimed": 0}


def test_system_prune(cli: DockerCli, name: str) -> None:
    anonymous = cli("volume", "create").out
    cli("volume", "create", name)
    cli("system", "prune", "-f")
    assert volumes(cli) == sorted([anonymous, name])
    lines = cli("system", "prune", "-f", "--volumes").lines
    assert lines[:2] == ["Deleted Volumes:", anonymous]
    assert volumes(cli) == [name]


# --- shown elsewhere


def test_disk_usage(cli: DockerCli, api: Api, name: str) -> None:
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "sh", "-c", "head -c 100000 /dev/zero > /v/f; ln /v/f /v/g")
    cli("create", "-v", f"{name}:/v", "-v", f"{name}-2:/w", "-v", f"{name}:/again", "busybox")
    cli("volume", "create", f"{name}-3")
    found = {one["Name"]: one["UsageData"] for one in api.get("/system/df")["Volumes"]}
    assert {one: usage["RefCount"] for one, usage in found.items()} == {name: 1, f"{name}-2": 1, f"{name}-3": 0}
    assert 100_000 <= found[name].pop("Size") < 120_000, "a file with two names counts once"
    assert found[f"{name}-2"]["Size"] == found[f"{name}-3"]["Size"] == 0
    lines = cli("system", "df", "-v").lines
    (line,) = [line.split() for line in lines if line.startswith(f"{name} ")]
    assert line[1] == "1" and re.fullmatch(r"1[01][0-9.]*kB", line[2])


def test_docker_inspect_finds_volumes(cli: DockerCli, name: str) -> None:
    cli("volume", "create", name)
    assert json.loads(cli("inspect", name).out) == [shown(cli, name)]
    assert cli("inspect", "--type", "volume", "--format", "{{.Driver}}", name).out == "local"
    assert cli.try_("inspect", "nothing").err == "Error: No such object: nothing"
    refused = cli.try_("volume", "inspect", "nothing", name, "--format", "{{.Name}}")
    assert (refused.code, refused.out) == (1, name)
    assert refused.err == "Error response from daemon: get nothing: no such volume"


def test_containers_by_volume(cli: DockerCli, name: str) -> None:
    one = cli("create", "-v", f"{name}:/v", "busybox").out
    cli("create", "-v", f"{name}2:/w", "busybox")
    for term, found in ((name, [one]), ("/v", [one]), (f"{name}3", []), (name[:4], [])):
        assert cli("ps", "-aq", "--no-trunc", "--filter", f"volume={term}").lines == found, term
    shown_by_ps = cli(
        "ps", "-a", "--no-trunc", "--filter", f"volume={name}", "--format", "{{.Mounts}} {{.LocalVolumes}}"
    )
    assert shown_by_ps.out == f"{name} 1"


def test_events(cli: DockerCli, api: Api, name: str) -> None:
    since = time.time()
    with EventStream(api, f"since={since:.9f}&{filters(type='volume')}") as live:
        for volume in (name, f"{name}-2"):
            cli("volume", "create", volume)
            cli("volume", "create", volume)
            cli("volume", "rm", volume)
        events = live.until("destroy", f"{name}-2")
    local = {"driver": "local"}
    assert [(one["Action"], one["Actor"]) for one in events] == [
        (action, {"ID": volume, "Attributes": local})
        for volume in (name, f"{name}-2")
        for action in ("create", "destroy")
    ]
    query = f"since={since:.9f}&until={time.time() + 0.001:.9f}&{filters(volume=f'{name}-2')}"
    past = [json.loads(line) for line in api.request("GET", f"/events?{query}").body.splitlines()]
    assert [(one["Action"], one["Actor"]["ID"]) for one in past] == [("create", f"{name}-2"), ("destroy", f"{name}-2")]


def test_update_is_for_volumes_of_swarm(cli: DockerCli, api: Api, name: str) -> None:
    cli("volume", "create", name)
    reply = api.request("PUT", f"/volumes/{name}?version=1", {"Spec": {}})
    message = "volume update only valid for cluster volumes, but swarm is unavailable"
    assert (reply.status, reply.message) == (503, message)
