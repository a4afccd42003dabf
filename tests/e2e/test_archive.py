"""docker cp, export and diff, with the real docker command and with plain requests."""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import select
import signal
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from e2e_rig.api import Api, connect
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

from seaway_testing.packing import zstd_compress

seaway_only = pytest.mark.seaway_only
STATES = ("running", "stopped", "created", "paused")
BUSY = "mkdir -p /d/sub; echo hi >/d/f; ln -s /d/f /d/abs; ln -s /d /dl; ln /d/f /d/hard; mkfifo /d/fifo; touch /ready;"


def container(cli: DockerCli, name: str, state: str, *options: str, script: str = "") -> None:
    """A container that has run `script`, in one of the states."""
    words = ("--name", name, "--network", "none", *options, "busybox", "sh", "-c", f"{script} touch /ran; sleep 600")
    if state == "created":
        cli("create", *words)
        return
    cli("run", "-d", *words)
    eventually(lambda: cli.try_("cp", f"{name}:/ran", "-").code == 0, "the script's end", 20)
    if state == "stopped":
        cli("kill", name)
        cli("wait", name)
    elif state == "paused":
        cli("pause", name)


def archive(**files: str) -> bytes:
    """A tar of files."""
    return tar({name: content.encode() for name, content in files.items()})


def tar(files: Mapping[str, bytes | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as made:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                made.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def members(data: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        return {member.name: member for member in found}


def put(api: Api, name: str, path: str, body: bytes, **query: str) -> tuple[int, str]:
    words = "".join(f"&{key}={value}" for key, value in query.items())
    url = f"/containers/{name}/archive?path={quote(path)}{words}"
    reply = api.request("PUT", url, body=body, headers={"Content-Type": "application/x-tar"})
    return reply.status, reply.message if reply.body else ""


@pytest.mark.parametrize("state", STATES)
def test_a_file_goes_in_and_comes_out(cli: DockerCli, name: str, tmp_path: Path, state: str) -> None:
    container(cli, name, state)
    source = tmp_path / "source"
    source.write_bytes(b"\0data\n" * 300_000)
    source.chmod(0o751)
    cli("cp", str(source), f"{name}:/root/there")
    cli("cp", f"{name}:/root/there", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o751
    if state == "paused":
        cli("unpause", name)


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_directories(cli: DockerCli, name: str, tmp_path: Path, state: str) -> None:
    container(cli, name, state)
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "file").write_text("x\n")
    (tree / "link").symlink_to("sub/file")
    cli("cp", str(tree), f"{name}:/new")
    cli("cp", f"{tree}/.", f"{name}:/root")
    cli("cp", str(tree), f"{name}:/root")
    for path in ("/new/sub/file", "/root/sub/file", "/root/tree/sub/file"):
        assert b"x\n" in cli("cp", f"{name}:{path}", "-").stdout
    cli("cp", f"{name}:/new", str(tmp_path / "out"))
    assert (tmp_path / "out" / "sub" / "file").read_text() == "x\n"
    assert (tmp_path / "out" / "link").readlink() == Path("sub/file")
    cli("cp", f"{name}:/new/.", str(tmp_path))
    assert (tmp_path / "sub" / "file").read_text() == "x\n"


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_links_and_trailing_slashes(cli: DockerCli, name: str, api: Api, tmp_path: Path, state: str) -> None:
    container(cli, name, state, script=BUSY)

    def names(path: str) -> dict[str, tarfile.TarInfo]:
        return members(api.request("GET", f"/containers/{name}/archive?path={path}").body)

    below = {"abs", "f", "fifo", "hard", "sub"}
    assert set(names("/d")) == {"d", *(f"d/{x}" for x in below)}
    assert set(names("/d/.")) == {".", *(f"./{x}" for x in below)}
    assert set(names("/dl/")) == {"dl", *(f"dl/{x}" for x in below)}
    assert names("/dl")["dl"].linkname == "/d"
    assert names("/d")["d/hard"].linkname == "d/f"
    assert set(names("etc/../d/f")) == {"f"}
    cli("cp", "-L", f"{name}:/d/abs", str(tmp_path / "followed"))
    assert (tmp_path / "followed").read_text() == "hi\n"
    cli("cp", "-", f"{name}:/dl", input=archive(through="link"))
    assert set(names("/d/through")) == {"through"}


def test_what_a_path_is(cli: DockerCli, name: str, api: Api) -> None:
    container(cli, name, "running", script=BUSY)

    def stat(path: str) -> tuple[str, str]:
        reply = api.request("HEAD", f"/containers/{name}/archive?path={path}")
        assert reply.status == 200
        found = json.loads(base64.b64decode(reply.headers["x-docker-container-path-stat"]))
        return found["name"], found["linkTarget"]

    assert stat("/d") == ("d", "")
    assert stat("/d/.") == (".", "")
    assert stat("/") == ("/", "")
    assert stat(".") == (".", "")
    assert stat("/d/abs") == ("abs", "/d/f")
    assert stat("/dl/") == ("dl", "")
    assert api.request("HEAD", f"/containers/{name}/archive?path=/nope").status == 404
    assert api.request("HEAD", f"/containers/{name}/archive?path=/d/f/").status == 500


def test_refusals(cli: DockerCli, name: str, api: Api, tmp_path: Path) -> None:
    container(cli, name, "running", script=BUSY)
    nothing = api.request("GET", f"/containers/{name}/archive?path=/nope")
    assert (nothing.status, nothing.message) == (404, f"Could not find the file /nope in container {name}")
    assert api.request("GET", f"/containers/{name}/archive").message == "bad parameter: pathcannot be empty"
    assert api.request("GET", "/containers/nobody/archive?path=/").status == 404
    slash = api.request("GET", f"/containers/{name}/archive?path=/d/f/")
    assert (slash.status, slash.message) == (500, "lstat /d/f/: not a directory")
    body = archive(f="new")
    assert put(api, name, "/nope", body) == (404, f"Could not find the file /nope in container {name}")
    assert put(api, name, "/d/f", body) == (500, "extraction point is not a directory")
    assert put(api, name, "/d", b"\7" * 3000)[0] == 500
    assert put(api, name, "/d", archive(f="new" * 1000)[:1500])[1].startswith("unexpected EOF")
    assert put(api, name, "/d", b"") == (200, "")
    missing = cli.try_("cp", f"{name}:/nope", str(tmp_path))
    assert missing.code == 1 and f"Could not find the file /nope in container {name}" in missing.err


def test_kinds_are_kept_on_request(cli: DockerCli, name: str, api: Api) -> None:
    container(cli, name, "running", script=BUSY)
    directory = tarfile.TarInfo("f")
    directory.type = tarfile.DIRTYPE
    status, text = put(api, name, "/d", tar({"f": directory}), noOverwriteDirNonDir="true")
    assert (status, text) == (500, 'cannot overwrite non-directory "/d/f" with directory "/d"')
    status, text = put(api, name, "/d", archive(sub="file"), noOverwriteDirNonDir="1")
    assert (status, text) == (500, 'cannot overwrite directory "/d/sub" with non-directory "/d"')
    assert put(api, name, "/d", archive(sub="file")) == (200, "")


def test_a_refusal_arrives_whatever_is_still_being_sent(cli: DockerCli, name: str, api: Api) -> None:
    container(cli, name, "running", script=BUSY)
    directory = tarfile.TarInfo("f")
    directory.type = tarfile.DIRTYPE
    refused = tar({"f": directory})
    with ThreadPoolExecutor(12) as clients:
        answers = clients.map(
            lambda number: put(api, name, "/d", refused * (1 + number % 2 * 400), noOverwriteDirNonDir="1"), range(1000)
        )
        assert set(answers) == {(500, 'cannot overwrite non-directory "/d/f" with directory "/d"')}


def test_archives_that_climb_out(cli: DockerCli, name: str, api: Api) -> None:
    container(cli, name, "running", script=BUSY)
    assert put(api, name, "/d", archive(**{"../t/f": "x"})) == (500, '"../t/f" is outside of "/d"')
    link = tarfile.TarInfo("evil")
    link.type, link.linkname = tarfile.SYMTYPE, "../../../etc/passwd"
    assert put(api, name, "/d", tar({"evil": link}))[1].startswith('invalid symlink "/d/evil" -> "../../../etc/')
    hard = tarfile.TarInfo("evil")
    hard.type, hard.linkname = tarfile.LNKTYPE, "../etc/passwd"
    assert put(api, name, "/d", tar({"evil": hard}))[0] == 500


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd_compress])
def test_compressed_archives(cli: DockerCli, name: str, api: Api, pack: Callable[[bytes], bytes]) -> None:
    container(cli, name, "running")
    assert put(api, name, "/root", pack(archive(f="packed " * 5000))) == (200, "")
    assert cli("exec", name, "wc", "-c", "/root/f").out.split()[0] == "35000"


@pytest.mark.parametrize("state", ["running", "stopped", "created"])
def test_volumes_and_binds(cli: DockerCli, name: str, tmp_path: Path, state: str) -> None:
    bound, only_read = tmp_path / "bound", tmp_path / "only-read"
    bound.mkdir()
    only_read.mkdir()
    (only_read / "given").write_text("given\n")
    options = ("-v", "/vol", "-v", f"{bound}:/bound", "-v", f"{only_read}:/bound/ro:ro")
    container(cli, name, state, *options)
    cli("cp", "-", f"{name}:/vol", input=archive(f="in the volume"))
    cli("cp", "-", f"{name}:/bound", input=archive(f="bound"))
    assert (bound / "f").read_text() == "bound"
    assert b"in the volume" in cli("cp", f"{name}:/vol/f", "-").stdout
    assert b"given" in cli("cp", f"{name}:/bound/ro/given", "-").stdout
    refused = cli.try_("cp", "-", f"{name}:/bound/ro", input=archive(f="x"))
    assert refused.code == 1 and "read-only" in refused.err
    assert not (only_read / "f").exists()
    if state != "running":
        cli("start", name)
    assert cli("exec", name, "cat", "/vol/f").out == "in the volume"


@pytest.mark.parametrize("state", ["running", "created"])
def test_read_only_root_filesystem(cli: DockerCli, name: str, tmp_path: Path, state: str) -> None:
    words = ("--name", name, "--network", "none", "--read-only", "-v", "/vol", "busybox", "sleep", "600")
    cli(*(("run", "-d") if state == "running" else ("create",)), *words)
    refused = cli.try_("cp", "-", f"{name}:/root", input=archive(f="x"))
    assert refused.code == 1 and "container rootfs is marked read-only" in refused.err
    cli("cp", "-", f"{name}:/vol", input=archive(f="allowed"))
    assert b"allowed" in cli("cp", f"{name}:/vol/f", "-").stdout


@seaway_only
def test_tmpfs_of_a_running_one(cli: DockerCli, name: str) -> None:
    container(cli, name, "running", "--tmpfs", "/tm", script="echo kept > /tm/t;")
    cli("cp", "-", f"{name}:/tm", input=archive(f="given"))
    assert cli("exec", name, "cat", "/tm/t", "/tm/f").out == "kept\ngiven"
    assert b"kept" in cli("cp", f"{name}:/tm/t", "-").stdout


@seaway_only
def test_owner_of_what_is_copied(cli: DockerCli, name: str, api: Api, tmp_path: Path) -> None:
    cli("run", "-d", "--name", name, "--network", "none", "--user", "app", "busybox", "sleep", "600")
    info = tarfile.TarInfo("f")
    info.uid, info.gid = 12, 34
    assert put(api, name, "/tmp", tar({"as-given": info})) == (200, "")
    assert put(api, name, "/tmp", tar({"as-user": info}), copyUIDGID="true") == (200, "")
    owners = cli("exec", name, "stat", "-c", "%n %u:%g", "/tmp/as-given", "/tmp/as-user").lines
    assert owners == ["/tmp/as-given 12:34", "/tmp/as-user 1000:1000"]


def test_what_the_kernel_shows_is_not_copied(cli: DockerCli, name: str, api: Api) -> None:
    container(cli, name, "running")
    for path in ("/proc/version", "/sys/kernel", "/dev/null"):
        assert api.request("GET", f"/containers/{name}/archive?path={path}").status == 404
    found = members(api.request("GET", f"/containers/{name}/archive?path=/").body)
    assert not [entry for entry in found if entry.lstrip("/").startswith(("proc/", "sys/"))]
    assert {"/etc/hosts", "/ran"} <= {"/" + entry.lstrip("/") for entry in found}


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_export_and_import(cli: DockerCli, name: str, tmp_path: Path, state: str) -> None:
    container(cli, name, state, "-v", "/vol", script="echo hidden > /vol/x; rm /bin/vi; " + BUSY)
    exported = cli("export", name).stdout
    found = members(exported)
    assert {"d", "d/f", "d/hard", "vol", "bin/sh", ".dockerenv"} <= set(found)
    assert not {"vol/x", "bin/vi"} & set(found)
    assert not [entry for entry in found if ".." in entry.split("/") or entry.startswith("/")]
    cli("import", "-", f"imported:{name}", input=exported)
    assert cli("run", "--rm", "--network", "none", f"imported:{name}", "cat", "/d/hard").out == "hi"
    cli("rmi", f"imported:{name}")


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_diff(cli: DockerCli, name: str, api: Api, state: str) -> None:
    script = "echo x >> /etc/passwd; mkdir -p /new/sub; echo y > /new/sub/f; rm /bin/vi; rm -rf /home; mkdir /home;"
    container(cli, name, state, script=script + "mkdir -p /w/old; touch /bin; mv /w/old /w/new;")
    changed = dict(reversed(line.split(" ", 1)) for line in cli("diff", name).lines)
    assert changed == {
        "/bin": "C",
        "/bin/vi": "D",
        "/etc": "C",
        "/etc/passwd": "C",
        "/home": "C",
        "/home/app": "D",
        "/new": "A",
        "/new/sub": "A",
        "/new/sub/f": "A",
        "/ran": "A",
        "/w": "A",
        "/w/new": "A",
    }
    kinds = {change["Path"]: change["Kind"] for change in api.request("GET", f"/containers/{name}/changes").json()}
    assert (kinds["/bin"], kinds["/new"], kinds["/bin/vi"]) == (0, 1, 2)


def test_no_changes_are_null(cli: DockerCli, name: str, api: Api) -> None:
    cli("create", "--name", name, "--network", "none", "busybox", "true")
    assert api.request("GET", f"/containers/{name}/changes").json() is None


def test_sizes(cli: DockerCli, name: str, api: Api) -> None:
    container(cli, name, "running", script="head -c 100000 /dev/zero > /root/big;")
    shown = api.request("GET", "/containers/json?size=1").json()[0]
    image = api.request("GET", "/images/busybox/json").json()["Size"]
    assert 100_000 <= shown["SizeRw"] < 101_000
    assert abs(shown["SizeRootFs"] - shown["SizeRw"] - image) < 10_000
    assert api.request("GET", f"/containers/{name}/json?size=1").json()["SizeRw"] == shown["SizeRw"]
    assert cli("ps", "-s", "--format", "{{.Size}}").out.startswith("100kB (virtual")
    assert "SizeRw" not in api.request("GET", "/containers/json").json()[0]


def test_events(cli: DockerCli, name: str, tmp_path: Path) -> None:
    container(cli, name, "created")
    cli("cp", f"{name}:/etc/passwd", str(tmp_path))
    cli("cp", "-", f"{name}:/root", input=archive(f="x"))
    cli("export", name)
    words = ("--since", "1h", "--until", f"{time.time() + 0.2:.3f}", "--filter", f"container={name}")
    told = cli("events", *words, "--format", "{{.Action}}")
    assert told.lines == ["create", "archive-path", "extract-to-dir", "export"]


@seaway_only
def test_a_caller_that_goes_leaves_nothing(cli: DockerCli, name: str, api: Api) -> None:
    """The start after it waits until the copy has let go of the files."""
    container(cli, name, "stopped", script="head -c 50000000 /dev/zero > /big;")
    with cli.spawn("cp", f"{name}:/big", "-") as copying:
        assert copying.stdout is not None and copying.stdout.read(1000)
        copying.kill()
    with cli.spawn("cp", "-", f"{name}:/root") as copying:
        assert copying.stdin is not None
        copying.stdin.write(archive(f="x" * 3_000_000)[:2_000_000])
        copying.kill()
    cli("start", name, timeout=20)
    assert cli("exec", name, "cat", "/etc/hostname").code == 0


@pytest.fixture
def without_links(engine: Engine) -> Iterator[None]:
    """The agent finds no socket of the API's, as on another machine."""
    sockets = [path for path in (engine.run / "streams").iterdir() if path.is_socket()]
    assert sockets
    for path in sockets:
        path.rename(path.with_suffix(".away"))
    yield
    for path in sockets:
        path.with_suffix(".away").rename(path)


@seaway_only
def test_over_the_bus(cli: DockerCli, name: str, api: Api, without_links: None) -> None:
    container(cli, name, "running", script=BUSY)
    content = "over the bus\n" * 500_000
    cli("cp", "-", f"{name}:/root", input=archive(f=content))
    assert members(cli("cp", f"{name}:/root/f", "-").stdout)["f"].size == len(content)
    assert put(api, name, "/d", archive(f="x" * 3_000_000)[:1_000_000])[1].startswith("unexpected EOF")
    assert put(api, name, "/nope", archive(f="x"))[0] == 404
    assert "root/f" in members(cli("export", name).stdout)


@seaway_only
def test_an_agent_killed_in_the_middle_leaves_nothing(cli: DockerCli, name: str, engine: Engine) -> None:
    assert isinstance(engine, Seaway)
    container(cli, name, "stopped", "-v", "/vol")
    volume = Path(cli("inspect", "--format", "{{(index .Mounts 0).Source}}", name).out.strip())
    old = engine.row("agent")["pid"]
    with cli.spawn("cp", "-", f"{name}:/vol") as copying:
        assert copying.stdin is not None
        copying.stdin.write(archive(f="x" * 3_000_000)[:2_000_000])
        copying.stdin.flush()
        eventually(lambda: (volume / "f").exists(), "the copy", 10)
        os.kill(old, signal.SIGKILL)
        copying.stdin.close()
        assert copying.wait(40) == 1
    eventually(lambda: (row := engine.row("agent"))["state"] == "ready" and row["pid"] != old, "a new agent", 30)
    cli("start", name, timeout=20)
    cli("cp", "-", f"{name}:/vol", input=archive(f="again"))
    assert cli("exec", name, "cat", "/vol/f").out == "again"
    view = f"{engine.run}/agent/{engine.node}/view"
    held = [path for path in Path("/proc").glob("[0-9]*/mountinfo") if view in _text(path)]
    assert held == []


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


@seaway_only
def test_beyond_64_at_once_copies_wait_and_what_only_looks_goes_on(cli: DockerCli, api: Api, name: str) -> None:
    """Clients that take nothing, one for each thread for copies; one that goes makes room for those that wait."""
    container(cli, name, "running", script="head -c 20000000 /dev/urandom > /big;")
    since = time.time()
    deaf = [connect(api.path) for _ in range(64)]
    waiting = connect(api.path)
    try:
        for client in deaf:
            client.sendall(request(f"{name}/export"))
            assert client.recv(15) == b"HTTP/1.1 200 OK"
        waiting.sendall(request(f"{name}/archive?path=/ran"))
        eventually(lambda: "archive-path" in told(api, since, name), "its node to have taken up the 65th copy", 20)
        assert cli("diff", name, timeout=20).lines
        assert "big" in cli("exec", name, "ls", "/", timeout=20).out
        assert api.request("HEAD", f"/containers/{name}/archive?path=/big", timeout=20).status == 200
        assert "20" in cli("ps", "-s", "--format", "{{.Size}}", timeout=20).out
        with cli.spawn("cp", "-", f"{name}:/root") as second:
            assert second.stdin is not None
            second.stdin.write(archive(f="waited"))
            second.stdin.close()
            assert select.select([waiting], [], [], 1)[0] == [] and second.poll() is None
            deaf.pop().close()
            assert waiting.recv(15) == b"HTTP/1.1 200 OK"
            assert second.wait(30) == 0
        assert cli("exec", name, "cat", "/root/f").out == "waited"
    finally:
        for client in (*deaf, waiting):
            client.close()
    assert cli("cp", f"{name}:/ran", "-", timeout=30).code == 0


def request(path: str) -> bytes:
    return f"GET /v1.45/containers/{path} HTTP/1.1\r\nHost: d\r\n\r\n".encode()


def told(api: Api, since: float, name: str) -> list[str]:
    """The actions of the container's events."""
    query = f"since={since}&until={time.time()}&filters={quote(json.dumps({'container': [name]}))}"
    return [json.loads(line)["Action"] for line in api.request("GET", f"/events?{query}").body.splitlines()]
