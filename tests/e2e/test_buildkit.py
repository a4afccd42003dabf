"""`docker build` by buildx with a given buildkitd: an image in Seaway at the end, however it is asked for."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.buildkit_fixtures import context
from e2e_rig.buildkitd import Buildkitd
from e2e_rig.docker_cli import DockerCli
from e2e_rig.images import Layer, archive, busybox_layer
from e2e_rig.seaway import Seaway

pytestmark = [pytest.mark.seaway_only, pytest.mark.own_engines, pytest.mark.usefixtures("no_built_images")]
BUILD_S = 90


def test_a_build_ends_with_an_image(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    where = context(tmp_path, "FROM busybox\nCOPY f /f\nRUN cat /f > /g\nENV A=b\n", f="file\n")
    done = buildx("build", "-t", name, "-t", f"{name}:2", where, timeout=BUILD_S)
    assert buildx("run", "--rm", name, "cat", "/g").out == "file"
    (image,) = json.loads(buildx("inspect", name).out)
    assert "A=b" in image["Config"]["Env"]
    assert sorted(image["RepoTags"]) == [f"{name}:2", f"{name}:latest"]
    assert image["Id"] in done.err
    quiet = buildx("build", "-q", where, timeout=BUILD_S)
    assert quiet.out == image["Id"]
    iidfile = tmp_path / "id"
    buildx("build", "--iidfile", str(iidfile), where, timeout=BUILD_S)
    assert iidfile.read_text() == image["Id"]
    again = buildx("build", "-t", name, where, timeout=BUILD_S)
    assert "CACHED" in again.err


def test_stages_arguments_and_labels(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    text = (
        "ARG BASE=nothing\nFROM ${BASE} AS one\nARG WHO\nRUN echo $WHO > /who\n"
        "FROM busybox AS two\nCOPY --from=one /who /\nRUN <<END\necho here > /heredoc\nEND\n"
        "FROM two AS three\nRUN false\n"
    )
    words = ("--build-arg", "BASE=busybox", "--build-arg", "WHO=me", "--target", "two", "--label", "l=v")
    buildx("build", *words, "-t", name, context(tmp_path, text), timeout=BUILD_S)
    assert buildx("run", "--rm", name, "cat", "/who", "/heredoc").lines == ["me", "here"]
    assert json.loads(buildx("inspect", name).out)[0]["Config"]["Labels"] == {"l": "v"}


def test_a_failing_step_is_told_and_leaves_no_image(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    done = buildx.try_("build", "-t", name, context(tmp_path, "FROM busybox\nRUN echo so; exit 7\n"), timeout=BUILD_S)
    assert done.code != 0 and "exit code: 7" in done.err, done.err
    assert buildx("images", "-q", name).out == ""
    wrong = buildx.try_("build", "-", input="FROM busybox\nNONSENSE\n", timeout=BUILD_S)
    assert wrong.code != 0 and "unknown instruction: NONSENSE" in wrong.err


def test_bases_that_only_this_suite_has(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    buildx("build", "-t", f"{name}:one", "-", input="FROM busybox\nRUN echo 1 > /one\n", timeout=BUILD_S)
    text = f"FROM {name}:one AS busybox\nRUN cat /one > /two\nFROM busybox\nCOPY --from={name}:one /one /three\n"
    buildx("build", "-t", f"{name}:two", context(tmp_path, text), timeout=BUILD_S)
    assert buildx("run", "--rm", f"{name}:two", "cat", "/two", "/three").lines == ["1", "1"]
    missing = buildx.try_("build", "-", input="FROM localhost:1/no/such:image\n", timeout=BUILD_S)
    assert missing.code != 0 and "localhost:1/no/such:image" in missing.err


def test_known_blobs_are_not_sent_again(buildkit_suite: Seaway, buildx: DockerCli, tmp_path: Path, name: str) -> None:
    size = 40 << 20
    buildx(
        "build", "-t", f"{name}:1", "-", input=f"FROM busybox\nRUN head -c {size} /dev/zero > /big\n", timeout=BUILD_S
    )
    before = _read_by_api(buildkit_suite)
    text = f"FROM busybox\nRUN head -c {size} /dev/zero > /big\nENV A=b\n"
    buildx("build", "-t", f"{name}:2", "-", input=text, timeout=BUILD_S)
    assert _read_by_api(buildkit_suite) - before < size / 4
    layers = [json.loads(buildx("inspect", f"{name}:{tag}").out)[0]["RootFS"]["Layers"] for tag in (1, 2)]
    assert layers[0] == layers[1]


def _read_by_api(buildkit_suite: Seaway) -> int:
    text = Path(f"/proc/{buildkit_suite.processes()['api']}/io").read_text()
    return int(dict(line.split(": ") for line in text.splitlines())["rchar"])


def test_secrets_and_ssh(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    key, secret = tmp_path / "key", tmp_path / "secret"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    secret.write_text("word")
    text = (
        "FROM busybox\nRUN --mount=type=secret,id=s test $(cat /run/secrets/s) = word\n"
        "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && echo y > /ssh\n"
    )
    where = context(tmp_path / "c", text)
    words = ("--secret", f"id=s,src={secret}", "--ssh", f"default={key}")
    buildx("build", *words, "-t", name, where, timeout=BUILD_S)
    assert buildx("run", "--rm", name, "sh", "-c", "cat /ssh; find /run/secrets -type f 2>/dev/null; true").out == "y"
    assert buildx.try_("build", "--no-cache", where, timeout=BUILD_S).code != 0, "without the secret"


def test_cache_mounts(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    text = f"FROM busybox\nARG N\nRUN --mount=type=cache,id={name},target=/c echo $N >> /c/n; cat /c/n > /n\n"
    where = context(tmp_path, text)
    for number in "12":
        buildx("build", "--build-arg", f"N={number}", "-t", name, where, timeout=BUILD_S)
    assert buildx("run", "--rm", name, "cat", "/n").lines == ["1", "2"]


def test_compose_builds(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    services = {one: {"build": {"context": one}, "image": f"{name}:{one}"} for one in ("a", "b")}
    (tmp_path / "compose.yaml").write_text(json.dumps({"services": services}))
    for one in services:
        context(tmp_path / one, f"FROM busybox\nRUN echo {one} > /which\nCMD cat /which\n")
    words = ("compose", "-f", str(tmp_path / "compose.yaml"), "-p", name)
    buildx(*words, "build", timeout=BUILD_S)
    for one in services:
        assert buildx("run", "--rm", f"{name}:{one}").out == one
    buildx(*words, "up", "--build", "--detach", timeout=BUILD_S)
    (made,) = json.loads(buildx("inspect", f"{name}-a-1").out)
    assert made["Image"] == json.loads(buildx("inspect", f"{name}:a").out)[0]["Id"]
    buildx(*words, "down", "-t", "0")


def test_bake_builds_at_once(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    targets = {f"t{n}": {"context": ".", "tags": [f"{name}:{n}"], "args": {"N": str(n)}} for n in range(4)}
    document = {"group": {"default": {"targets": list(targets)}}, "target": targets}
    (tmp_path / "docker-bake.json").write_text(json.dumps(document))
    context(tmp_path, "FROM busybox\nARG N\nRUN echo $N > /n\n")
    buildx(
        "buildx", "bake", "-f", str(tmp_path / "docker-bake.json"), "--set", f"*.context={tmp_path}", timeout=BUILD_S
    )
    for number in range(4):
        assert buildx("run", "--rm", f"{name}:{number}", "cat", "/n").out == str(number)


def test_several_platforms_are_refused(buildx: DockerCli, tmp_path: Path, name: str) -> None:
    where = context(tmp_path, "FROM busybox\n")
    done = buildx.try_("build", "--platform", "linux/amd64,linux/arm64", "-t", name, where, timeout=BUILD_S)
    assert done.code != 0
    assert "Multi-platform build is not supported for the docker driver" in done.err, done.err
    assert buildx("images", "-q", name).out == ""


@pytest.fixture
def dressed(buildx: DockerCli, name: str) -> Iterator[str]:
    """An image whose config says how its programs are run."""
    image = archive(
        [busybox_layer(), Layer().bytes()], {"Entrypoint": ["echo", "dressed"], "User": "app"}, [f"{name}:latest"]
    )
    buildx("load", input=image)
    yield name
    buildx("rmi", name)


def test_a_base_brings_its_config(buildx: DockerCli, dressed: str) -> None:
    built = buildx("build", "-q", "-", input=f"FROM {dressed}\nLABEL a=b\n", timeout=BUILD_S).out
    assert buildx("run", "--rm", built, "x").out == "dressed x"


def test_the_builder_is_seen_in_no_list(buildkitd: Buildkitd, buildx: DockerCli) -> None:
    assert buildx("ps", "-aq").out == ""
    assert "docker" in buildx("buildx", "ls").out and buildkitd.pid
