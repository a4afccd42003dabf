"""Volumes in containers: the local driver's options, labels, subpaths, read-only mounts, and what mounts show."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine

pytestmark = pytest.mark.root
Mounted = Callable[[str], list[str]]


def volumes(cli: DockerCli) -> list[str]:
    return sorted(cli("volume", "ls", "-q").lines)


def shown(cli: DockerCli, volume: str) -> dict[str, Any]:
    (found,) = json.loads(cli("volume", "inspect", volume).out)
    return dict(found)


def tmpfs(cli: DockerCli, name: str, *options: str) -> str:
    """A volume of memory; its name."""
    words = [word for option in options for word in ("-o", f"o={option}")]
    return cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", *words, name).out


def kind(cli: DockerCli, container: str, path: str) -> str:
    """The file system that a running container sees there."""
    return cli("exec", container, "sh", "-c", f"mount | grep ' on {path} ' | cut -d' ' -f5").out


# --- the local driver's options


def test_tmpfs(cli: DockerCli, name: str) -> None:
    tmpfs(cli, name, "size=1m,uid=1000,mode=700")
    assert shown(cli, name)["Options"] == {"device": "tmpfs", "o": "size=1m,uid=1000,mode=700", "type": "tmpfs"}
    place = Path(shown(cli, name)["Mountpoint"])
    one = cli("run", "-d", "-v", f"{name}:/v", "busybox", "sh", "-c", "echo kept > /v/f; exec sleep 60").out
    assert kind(cli, one, "/v") == "tmpfs"
    assert cli("exec", one, "stat", "-c", "%u %a", "/v").out == "1000 700"
    assert cli("exec", one, "sh", "-c", "df -k /v | tail -1 | awk '{print $2}'").out == "1024"
    cli("exec", one, "sh", "-c", "until [ -s /v/f ]; do sleep 0.02; done")
    two = cli("run", "-d", "-v", f"{name}:/w", "busybox", "sleep", "60").out
    assert cli("exec", two, "cat", "/w/f").out == "kept"
    cli("rm", "-f", one)
    assert cli("exec", two, "cat", "/w/f").out == "kept"
    cli("rm", "-f", two)
    assert list(place.iterdir()) == [], "unmounted with the last one that had it"
    assert cli("run", "--rm", "-v", f"{name}:/v", "busybox", "ls", "/v").out == ""
    cli("volume", "rm", name)


def test_bind(cli: DockerCli, name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("theirs")
    cli("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind", name)
    assert cli("run", "--rm", "-v", f"{name}:/v", "busybox", "cat", "/v/file").out == "theirs"
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "sh", "-c", "echo ours > /v/file")
    assert (tmp_path / "file").read_text() == "ours\n"
    cli("volume", "rm", name)
    assert (tmp_path / "file").read_text() == "ours\n", "what it is bound to stays"


def test_bind_read_only(cli: DockerCli, name: str, tmp_path: Path) -> None:
    cli("volume", "create", "-o", "type=none", "-o", f"device={tmp_path}", "-o", "o=bind,ro", name)
    refused = cli.try_("run", "--rm", "-v", f"{name}:/v", "busybox", "touch", "/v/file")
    assert refused.code == 1 and "Read-only file system" in refused.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["type=none", "device=/nope", "o=bind"], 127, "failed to mount local volume: mount /nope:"),
        (["type=nosuchfs", "device=x"], 125, "failed to mount local volume: mount x:"),
        (["type=nfs", "device=:/x", "o=addr=nowhere.invalid"], 125, "error resolving passed in network volume address"),
    ],
)
def test_what_can_t_be_mounted(cli: DockerCli, name: str, options: list[str], code: int, message: str) -> None:
    cli("volume", "create", *(word for option in options for word in ("-o", option)), name)
    refused = cli.try_("run", "--name", name, "-v", f"{name}:/v", "busybox", "true")
    assert (refused.code, message in refused.err) == (code, True), refused.err
    cli("rm", name)
    assert volumes(cli) == [name]
    cli("volume", "rm", name)


# --- made with a container


def test_labels_and_options_of_a_mount(cli: DockerCli, name: str) -> None:
    options = "volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-label=a=b,volume-label=c"
    made = cli("run", "-d", "--mount", f"type=volume,src={name},dst=/v,{options}", "busybox", "sleep", "60").out
    assert kind(cli, made, "/v") == "tmpfs"
    found = shown(cli, name)
    assert (found["Labels"], found["Options"]) == ({"a": "b", "c": ""}, {"device": "tmpfs", "type": "tmpfs"})


def test_a_mount_of_what_is_there_changes_nothing(cli: DockerCli, name: str) -> None:
    cli("volume", "create", "--label", "a=b", name)
    before = shown(cli, name)
    cli("run", "--rm", "--mount", f"type=volume,src={name},dst=/v,volume-label=c=d", "busybox", "true")
    assert shown(cli, name) == before


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ("src=a,dst=/v", "volume name is too short"),
        ("src=-ab,dst=/v", "includes invalid characters for a local volume name"),
        ("src=NAME,dst=/v,volume-opt=nonsense=1", 'create NAME: invalid option: "nonsense"'),
        ("src=NAME,dst=/v,volume-opt=type=tmpfs", 'create NAME: missing required option: "device"'),
        ("dst=/v,volume-opt=o=x", 'missing required option: "device"'),
        ("src=NAME,dst=/v,volume-subpath=../x", "subpath must be a relative path within the volume"),
        ("src=NAME,dst=/v,volume-subpath=/x", "subpath must be a relative path within the volume"),
        ("dst=/v,volume-subpath=x", "must not set Subpath when using anonymous volumes"),
        ("dst=/v,readonly", "must not set ReadOnly mode when using anonymous volumes"),
        ("src=NAME,dst=/", "destination can't be '/'"),
    ],
)
def test_wrong_mounts_leave_nothing(cli: DockerCli, name: str, mount: str, message: str) -> None:
    refused = cli.try_("run", "--mount", "type=volume," + mount.replace("NAME", name), "busybox", "true")
    assert refused.code == 125 and message.replace("NAME", name) in refused.err
    assert (volumes(cli), cli("ps", "-aq").out) == ([], "")


@pytest.mark.seaway_only  # Docker leaves the volume
def test_a_create_that_fails_leaves_no_volume(cli: DockerCli, engine: Engine, name: str) -> None:
    cli("volume", "create", f"{name}-old")
    words = ["-v", f"{name}-new:/v", "-v", f"{name}-old:/w", "-v", "/anonymous", "-v", f"{name}-file:/bin/busybox"]
    assert cli.try_("create", *words, "busybox").code == 1
    assert (volumes(cli), cli("ps", "-aq").out) == ([f"{name}-old"], "")
    assert [path.name for path in engine.root.glob("**/volumes/*") if path.is_dir()] == [f"{name}-old"]


def test_a_subpath_that_is_not_there(cli: DockerCli, name: str) -> None:
    cli("volume", "create", name)
    mount = f"type=volume,src={name},dst=/v,volume-subpath=nope"
    refused = cli.try_("run", "--name", name, "--mount", mount, "busybox", "true")
    assert refused.code == 127 and "_data/nope: no such file or directory" in refused.err
    cli("rm", name)
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "sh", "-c", "mkdir /v/nope; echo in > /v/nope/f")
    assert cli("run", "--rm", "--mount", mount, "busybox", "cat", "/v/f").out == "in"


@pytest.mark.parametrize("words", [["-v", "NAME:/v:ro"], ["--mount", "type=volume,src=NAME,dst=/v,readonly"]])
def test_read_only(cli: DockerCli, name: str, words: list[str]) -> None:
    cli("run", "--rm", "-v", f"{name}:/v", "busybox", "sh", "-c", "echo in > /v/f")
    mount = [word.replace("NAME", name) for word in words]
    refused = cli.try_("run", "--rm", *mount, "busybox", "sh", "-c", "cat /v/f; touch /v/g")
    assert (refused.code, refused.out, "Read-only file system" in refused.err) == (1, "in", True)


# --- what is shown


def test_mounts_of_a_container(cli: DockerCli, api: Api, name: str) -> None:
    words = ["-v", f"{name}:/one:ro", "--mount", f"type=volume,src={name},dst=/two", "-v", "/three"]
    made = cli("create", *words, "-v", f"{name}:/four:nocopy", "busybox").out
    place = shown(cli, name)["Mountpoint"]
    mounts = {mount["Destination"]: mount for mount in api.get(f"/containers/{made}/json")["Mounts"]}
    anonymous = mounts["/three"]["Name"]
    for target, volume, mode, writable in (
        ("/one", name, "ro", False),
        ("/two", name, "z", True),
        ("/three", anonymous, "", True),
        ("/four", name, "nocopy", True),
    ):
        assert mounts[target] == {
            "Type": "volume",
            "Name": volume,
            "Source": place if volume == name else shown(cli, anonymous)["Mountpoint"],
            "Destination": target,
            "Driver": "local",
            "Mode": mode,
            "RW": writable,
            "Propagation": "",
        }
    assert api.get(f"/containers/{made}/json")["Config"]["Volumes"] == {"/three": {}}


def test_of_a_run_that_has_just_begun_the_volume_is_there(cli: DockerCli, name: str) -> None:
    for number in range(5):
        cli("run", "--rm", "-v", f"{name}-{number}:/v", "busybox", "true")
        assert f"{name}-{number}" in volumes(cli)


def test_anonymous_ones_come_and_go(cli: DockerCli, name: str) -> None:
    kept = cli("create", "-v", "/v", "busybox").out
    (volume,) = volumes(cli)
    assert cli("inspect", "--format", "{{(index .Mounts 0).Name}}", kept).out == volume
    assert shown(cli, volume)["Labels"] == {"com.docker.volume.anonymous": ""}
    cli("run", "--rm", "-v", "/v", "busybox", "true")
    assert volumes(cli) == [volume]
    cli("run", "--name", name, "-v", "/v", "busybox", "true")
    assert len(volumes(cli)) == 2
    cli("rm", "-v", name)
    assert volumes(cli) == [volume]
    cli("rm", kept)
    assert volumes(cli) == [volume]
    cli("volume", "rm", volume)
    assert volumes(cli) == []


def test_an_anonymous_one_of_a_mount_has_no_label(cli: DockerCli, name: str) -> None:
    """So a prune removes it only when it is asked for all."""
    cli("run", "--name", name, "--mount", "type=volume,dst=/v", "busybox", "true")
    cli("rm", name)
    (volume,) = volumes(cli)
    assert shown(cli, volume)["Labels"] is None
    cli("volume", "prune", "--force")
    assert volumes(cli) == [volume]
    cli("volume", "prune", "--force", "--all")
    assert volumes(cli) == []


def test_an_anonymous_one_with_options(cli: DockerCli, name: str) -> None:
    mount = "type=volume,dst=/v,volume-opt=type=tmpfs,volume-opt=device=tmpfs,volume-label=a=b"
    cli("run", "-d", "--name", name, "--mount", mount, "busybox", "sleep", "60")
    assert kind(cli, name, "/v") == "tmpfs"
    (volume,) = volumes(cli)
    found = shown(cli, volume)
    assert found["Labels"]["a"] == "b"
    assert found["Options"] == {"device": "tmpfs", "type": "tmpfs"}
    cli("rm", "-fv", name)
    assert volumes(cli) == []


def test_volumes_from_keeps_names_and_modes(cli: DockerCli, api: Api, name: str) -> None:
    first = cli("create", "-v", f"{name}:/a", "-v", "/b", "busybox").out
    second = cli("create", "--volumes-from", f"{first}:ro", "-v", f"{name}-own:/b", "busybox").out
    mounts = {one["Destination"]: (one["Name"], one["RW"]) for one in api.get(f"/containers/{second}/json")["Mounts"]}
    assert mounts == {"/a": (name, False), "/b": (f"{name}-own", True)}
    cli("rm", "-v", first)
    assert volumes(cli) == [name, f"{name}-own"]


@pytest.mark.seaway_only  # Docker doesn't count those that take volumes over
def test_what_was_taken_over_is_in_use(cli: DockerCli, name: str) -> None:
    first = cli("create", "-v", f"{name}:/a", "busybox").out
    second = cli("create", "--volumes-from", first, "busybox").out
    cli("rm", "-v", first)
    refused = cli.try_("volume", "rm", name)
    assert refused.err == f"Error response from daemon: remove {name}: volume is in use - [{second}]"
