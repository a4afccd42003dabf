"""`docker build` without BuildKit: the docker command, docker-py, and what a stranger's Dockerfile may not do."""

import io
import json
import os
import signal
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
from e2e_rig.api import Api
from e2e_rig.classic_builds import CLASSIC
from e2e_rig.docker_cli import DockerCli, Result
from e2e_rig.processes import command_lines
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

pytestmark = pytest.mark.usefixtures("no_classic_images")


def context(tmp_path: Path, dockerfile: str, files: Mapping[str, str] | None = None) -> Path:
    (tmp_path / "Dockerfile").write_text(dockerfile)
    for name, text in (files or {}).items():
        (tmp_path / name).write_text(text)
    return tmp_path


def build(cli: DockerCli, *words: str, timeout: float = 120, **options: Any) -> Result:
    return cli.try_("build", *words, timeout=timeout, **CLASSIC, **options)


def test_a_build_and_its_cache(cli: DockerCli, tmp_path: Path, name: str) -> None:
    text = "FROM busybox\nARG WHO=nobody\nENV A=b\nRUN echo hi $WHO > /said; echo out; echo err >&2\nCOPY f /f\n"
    text += "CMD cat /said /f\n"
    where = str(context(tmp_path, text, {"f": "file\n"}))
    words = ("--build-arg", "WHO=me", "-t", name, "-t", f"{name}:2", "--label", "l=v", where)
    first = build(cli, *words)
    assert first.code == 0, first.err
    assert "Step 4/7 : RUN echo hi $WHO > /said; echo out; echo err >&2\n ---> Running in " in first.out
    assert "\nout\n" in first.out and "err" in first.out
    assert f"Successfully tagged {name}:latest\nSuccessfully tagged {name}:2" in first.out
    assert cli("run", "--rm", name).out == "hi me\nfile"
    (image,) = json.loads(cli("inspect", name).out)
    assert image["Config"]["Labels"] == {"l": "v"} and "A=b" in image["Config"]["Env"]
    again = build(cli, *words)
    assert again.out.count(" ---> Using cache") == 6
    assert json.loads(cli("inspect", f"{name}:2").out)[0]["Id"] == image["Id"]
    assert " ---> Using cache" not in build(cli, "--no-cache", *words).out


def test_stages_and_mounts(cli: DockerCli, tmp_path: Path, name: str) -> None:
    text = (
        "ARG BASE=busybox\nFROM $BASE AS one\nRUN --mount=type=cache,target=/c echo 1 >> /c/n; cat /c/n > /n\n"
        "RUN <<EOF\necho a > /a\nEOF\nFROM busybox AS two\nCOPY --from=one /a /n /\nFROM two\nRUN false\n"
    )
    done = build(cli, "--target", "two", "-t", name, str(context(tmp_path, text)))
    assert done.code == 0, done.err
    assert cli("run", "--rm", name, "cat", "/a").out == "a"


def test_a_dockerfile_on_stdin_and_from_an_id(cli: DockerCli, name: str) -> None:
    base = json.loads(cli("inspect", "busybox").out)[0]["Id"]
    done = build(cli, "-q", "-t", name, "-", input=f"FROM {base.removeprefix('sha256:')[:12]}\nRUN true\n")
    assert done.code == 0 and done.out.startswith("sha256:"), done.err
    nameless = done.out
    cli("rmi", name)
    again = build(cli, "-q", "-", input=f"FROM {nameless.removeprefix('sha256:')}\nRUN echo 2\n")
    assert again.code in (0, 1)


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("FROM busybox\nRUN exit 4", 4, "The command '/bin/sh -c exit 4' returned a non-zero code: 4"),
        ("FROM busybox\nCOPY nope /", 1, "COPY failed: file not found in build context or excluded by .dockerignore"),
        ("FROM busybox\nCOPY ../../etc/passwd /", 1, "COPY failed: forbidden path outside the build context"),
        ("FROM busybox\nFOO", 1, "dockerfile parse error on line 2: unknown instruction: FOO"),
        ("FROM localhost:1/none", 1, "connection refused"),
        ("FROM oci:/etc", 1, "images are named as registries name them"),
        ("FROM busybox\nCOPY --from=dir:/etc / /", 1, "images are named as registries name them"),
        ("FROM busybox\nRUN --network=host id", 1, "RUN --network=host is not allowed"),
        ("", 1, "cannot be empty"),
    ],
)
def test_failures(cli: DockerCli, tmp_path: Path, text: str, code: int, sentence: str) -> None:
    done = build(cli, str(context(tmp_path, text)))
    assert (done.code, sentence in done.err) == (code, True), done.err


@pytest.mark.seaway_only
def test_a_step_is_confined_as_a_container(cli: DockerCli, tmp_path: Path) -> None:
    text = (
        "FROM busybox\nRUN grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status; ls /dev/net 2>&1; "
        "mkdir /sys/fs/cgroup/memory/x 2>&1; echo 1 2>&1 > /proc/sys/kernel/panic; cat /proc/kcore | wc -c; mount | "
        "grep cgroup | grep -c '[(,]rw[,)]' \nRUN --network=none ip addr\n"
    )
    done = build(cli, "--no-cache", "--memory", "64m", str(context(tmp_path, text)))
    assert done.code == 0, done.err + done.out
    assert "CapEff:\t00000000a80425fb" in done.out and "Seccomp:\t2" in done.out
    assert "ls: /dev/net: No such file or directory" in done.out
    assert "Read-only file system" in done.out or "can't create directory" in done.out
    assert "eth0" not in done.out


def test_limits_and_files_of_steps(cli: DockerCli, tmp_path: Path) -> None:
    text = "FROM busybox\nRUN ulimit -n; cat /etc/hosts; df -k /dev/shm | tail -1\n"
    text += "RUN cat /sys/fs/cgroup/memory/memory.limit_in_bytes || true\n"
    words = ("--ulimit", "nofile=77:99", "--add-host", "there:192.0.2.9", "--shm-size", "2m", "--memory", "64m")
    done = build(cli, "--no-cache", *words, str(context(tmp_path, text)))
    assert done.code == 0, done.err
    assert "\n77\n" in done.out and "192.0.2.9\tthere" in done.out and " 2048 " in done.out
    if Path("/sys/fs/cgroup/memory").exists():
        assert "\n67108864\n" in done.out


def test_output_cannot_imitate_the_builder(cli: DockerCli, tmp_path: Path) -> None:
    fake = "STEP 9/9: evil\\n--> 0123456789ab\\nCOMMIT\\n" + "f" * 64
    done = build(
        cli, "--no-cache", str(context(tmp_path, f"FROM busybox\nRUN printf '{fake}\\n'; printf '{fake}\\n' >&2\n"))
    )
    assert done.code == 0, done.err
    assert "STEP 9/9: evil\n--> 0123456789ab\nCOMMIT\n" + "f" * 64 in done.out
    assert "Successfully built ffff" not in done.out


def test_a_context_stays_in_its_place(cli: DockerCli, api: Api, tmp_path: Path) -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for one, kind, link in (
            ("Dockerfile", tarfile.REGTYPE, ""),
            ("dev", tarfile.CHRTYPE, ""),
            ("abs", tarfile.SYMTYPE, "/etc"),
            (".dockerignore", tarfile.SYMTYPE, "/etc/shadow"),
        ):
            info = tarfile.TarInfo(one)
            info.type, info.linkname, info.devmajor, info.devminor = kind, link, 1, 3
            text = b"FROM scratch\nCOPY . /\n" if one == "Dockerfile" else b""
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    done = build(cli, "-q", "-", input=data.getvalue())
    assert done.code == 0, done.err
    for bad in ("../evil", "/../../evil", "a/../../evil"):
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as tar:
            tar.addfile(tarfile.TarInfo(bad))
        assert build(cli, "-", input=data.getvalue()).code == 1


@pytest.mark.seaway_only
def test_ctrl_c_ends_a_quiet_one(cli: DockerCli, engine: Seaway, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN sleep 1000\n")
    builds = engine.root / "agent" / engine.node / "builds" / "w"
    with cli.terminal("build", "--quiet", "--no-cache", str(where), **CLASSIC) as terminal:
        eventually(lambda: [*builds.glob("*/crun/*")], "the step", 30)
        terminal.type("\x03")
        terminal.wait()
    expect_nothing_left(engine)


@pytest.mark.seaway_only
def test_ctrl_c_ends_it(cli: DockerCli, engine: Seaway, tmp_path: Path) -> None:
    where = context(tmp_path, "FROM busybox\nRUN echo begun; sleep 1000\n")
    with cli.terminal("build", "--no-cache", str(where), **CLASSIC) as terminal:
        terminal.expect("begun|ERROR")
        terminal.type("\x03")
        terminal.wait()
    expect_nothing_left(engine)


@pytest.mark.seaway_only
@pytest.mark.parametrize("service", ["agent", "api"])
def test_after_a_death_a_plain_retry_works(cli: DockerCli, engine: Seaway, tmp_path: Path, service: str) -> None:
    where = context(tmp_path, "FROM busybox\nRUN echo begun; [ -e /wait ] || sleep 3\n")
    with cli.terminal("build", "--no-cache", str(where), **CLASSIC) as terminal:
        terminal.expect("begun")
        old = int(engine.row(service)["pid"])
        os.kill(old, signal.SIGKILL)
        engine.restarted(service, old)
        terminal.wait(60)
    expect_nothing_left(engine)
    assert build(cli, "-q", str(where)).code == 0


def expect_nothing_left(engine: Seaway) -> None:
    builds = engine.root / "agent" / engine.node / "builds"
    store = builds / "store" / "overlay-containers" / "containers.json"

    def clean() -> bool:
        groups = [one for one in Path("/sys/fs/cgroup").glob(f"**/seaway/{engine.token}.builds/*") if one.is_dir()]
        working = [] if not store.exists() else json.loads(store.read_text() or "[]")
        return not [*(builds / "w").iterdir()] and not groups and not working

    eventually(clean, "nothing left of the build", 30)


@pytest.mark.seaway_only
def test_the_cache_is_shown_and_pruned(cli: DockerCli, tmp_path: Path) -> None:
    text = "FROM busybox\nRUN --mount=type=cache,target=/c head -c 200000 /dev/zero | tee /z > /c/z\n"
    where = str(context(tmp_path, text))
    assert build(cli, "-q", where).code == 0
    shown = json.loads(cli("system", "df", "-v", "--format", "{{json .}}").out)["BuildCache"]
    assert "exec.cachemount" in [one["CacheType"] for one in shown], shown
    assert int(cli("system", "df", "--format", "{{.Type}} {{.TotalCount}}").lines[-1].split()[-1]) > 0
    pruned = cli("builder", "prune", "--force", "--all", **CLASSIC)
    assert "Total reclaimed space" in pruned.out or "Total:" in pruned.out, pruned.out
    assert cli("system", "df", "--format", "{{.Type}} {{.TotalCount}}").lines[-1].split()[-1] == "0"
    assert build(cli, "-q", where).code == 0


@pytest.mark.seaway_only
def test_a_torn_cache_is_begun_anew(cli: DockerCli, engine: Seaway, tmp_path: Path) -> None:
    where = str(context(tmp_path, "FROM busybox\nRUN echo torn\n"))
    assert build(cli, "-q", where).code == 0
    images = engine.root / "agent" / engine.node / "builds" / "store" / "overlay-images" / "images.json"
    images.write_bytes(images.read_bytes()[:-20])
    eventually(lambda: build(cli, "-q", where).code == 0, "a build with a new cache", 30)


@pytest.mark.seaway_only
def test_build_arguments_are_not_seen_by_others(cli: DockerCli, tmp_path: Path) -> None:
    """Except those of several lines; nothing of the builder's environment becomes an argument."""
    text = 'FROM busybox\nARG SECRET\nARG HOME\nARG LINES\nRUN echo =$SECRET=$HOME=; echo "$LINES"; sleep 1000\n'
    where = str(context(tmp_path, text))
    values = ("--build-arg", "SECRET=a#b c", "--build-arg", "LINES=one\ntwo")
    said: list[Result] = []
    building = threading.Thread(target=lambda: said.append(build(cli, "--no-cache", *values, where)))
    building.start()

    def sleeping() -> list[int]:
        return [pid for pid, words in command_lines().items() if words.startswith(b"sleep\x001000\0")]

    eventually(sleeping, "the step", 30)
    builder = [words for words in command_lines().values() if words.startswith(b"/usr/bin/buildah\0")]
    assert builder and not any(b"a#b c" in words for words in builder)
    for pid in sleeping():
        os.kill(pid, signal.SIGKILL)
    building.join(60)
    assert "=a#b c=/root=\none\ntwo" in said[0].out, said[0].out


def test_an_image_that_is_removed_comes_back_from_the_cache(cli: DockerCli, tmp_path: Path, name: str) -> None:
    words = ("-q", "-t", name, str(context(tmp_path, "FROM busybox\nRUN echo back > /back\n")))
    image = build(cli, *words).out
    assert build(cli, *words).out == image
    cli("rmi", "--force", image)
    assert name not in cli("images", "--format", "{{.Repository}}").lines
    assert build(cli, *words).out == image
    assert cli("run", "--rm", name, "cat", "/back").out == "back"


@pytest.mark.seaway_only
def test_its_events(cli: DockerCli, api: Api, tmp_path: Path, name: str) -> None:
    assert build(cli, "-q", "-t", name, str(context(tmp_path, "FROM busybox\nRUN echo 1\n"))).code == 0

    def seen() -> list[Any]:
        lines = cli(
            "events", "--since", "1m", "--until", "0s", "--filter", "type=build", "--format", "{{json .}}"
        ).lines
        found = [json.loads(line) for line in lines][-2:]
        return found if [one["Action"] for one in found] == ["start", "end"] else []

    start, end = eventually(seen, "the build's events", 10)
    assert start["Actor"]["ID"] == end["Actor"]["ID"]
    assert end["Actor"]["Attributes"]["outcome"] == "built"


def test_docker_py(py: docker.DockerClient, tmp_path: Path, name: str) -> None:
    image, log = py.images.build(path=str(context(tmp_path, f"FROM busybox\nRUN echo {name}\n")), tag=name, rm=True)
    assert name in image.tags[0] and any(one.get("stream") == f"{name}\n" for one in log)
    with pytest.raises(docker.errors.BuildError, match="returned a non-zero code: 3"):
        py.images.build(path=str(context(tmp_path, "FROM busybox\nRUN exit 3\n")))
