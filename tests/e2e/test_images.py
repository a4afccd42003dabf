"""pull, images, inspect, tag, rmi, load, save, import."""

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from e2e_rig import images
from e2e_rig.api import Api, filters
from e2e_rig.docker_cli import DockerCli
from e2e_rig.engine import Engine
from e2e_rig.registry import Registry

from seaway_testing.ports import free_port

KEPT = {"busybox:latest", "dressed:1"}


@pytest.fixture(autouse=True)
def only_shared_images(engine: Engine, no_containers: None) -> Iterator[None]:
    """Before and after each test only the two shared images are there, under their names alone."""
    _put_back(engine)
    yield
    engine.api.remove_all()
    _put_back(engine)


def _put_back(engine: Engine) -> None:
    for row in engine.api.get("/images/json?all=1"):
        names = set(row["RepoTags"] or []) - {"<none>:<none>"}
        extra = (names | set(row["RepoDigests"] or []) - {"<none>@<none>"}) - KEPT
        for name in extra if names else [row["Id"]]:
            engine.api.request("DELETE", f"/images/{name}?force=1")


@pytest.fixture
def repository(registry: Registry) -> str:
    return f"{registry.address}/lib/busybox"


def test_pull_shows_progress_and_prints_the_name(cli: DockerCli, repository: str) -> None:
    lines = cli("pull", f"{repository}:1").lines
    assert lines[0] == "1: Pulling from lib/busybox"
    assert any(line.startswith("Digest: sha256:") for line in lines)
    assert f"Status: Downloaded newer image for {repository}:1" in lines
    assert lines[-1] == f"{repository}:1"
    assert f"Status: Image is up to date for {repository}:1" in cli("pull", f"{repository}:1").lines


def test_pull_quietly(cli: DockerCli, repository: str) -> None:
    assert cli("pull", "-q", f"{repository}:1").out == f"{repository}:1"


def test_pulled_image_runs(cli: DockerCli, repository: str) -> None:
    result = cli("run", "--rm", f"{repository}:1", "echo", "pulled")
    assert result.out == "pulled"
    assert "Unable to find image" in result.err and "Status: Downloaded newer image" in result.err


def test_pull_never(cli: DockerCli, repository: str) -> None:
    result = cli.try_("run", "--pull", "never", f"{repository}:1", "true")
    assert result.code == 125 and "No such image" in result.err


def test_login_is_the_registrys_to_judge(cli: DockerCli, registry: Registry) -> None:
    words = ["login", "--username", "ann", "--password-stdin"]
    assert "Login Succeeded" in cli(*words, registry.address, input="secret").out
    cli("logout", registry.address)
    nobody = f"127.0.0.1:{free_port()}"
    refused = cli.try_(*words, nobody, input="secret")
    assert refused.code == 1
    assert f'Get "http://{nobody}/v2/": dial tcp {nobody}: connect: connection refused' in refused.err


@pytest.mark.parametrize("system", ["windows", "freebsd"])
def test_images_of_another_system(cli: DockerCli, registry: Registry, system: str) -> None:
    archive = images.archive([images.busybox_layer()], {"Cmd": ["sh"]}, ["other:1"], system)
    registry.push(archive, f"lib/{system}:1")
    name = f"{registry.address}/lib/{system}:1"
    not_supported = "operating system is not supported"
    for words, why in (
        (("load",), f"cannot load {system} image on linux"),
        (("import", "--platform", system, "-"), not_supported),
        (("pull", name), f'image operating system "{system}" cannot be used on this platform: {not_supported}'),
        (("pull", "--platform", f"{system}/amd64", name), not_supported),
    ):
        result = cli.try_(*words, input=archive)
        assert result.code == 1
        assert result.err.removeprefix("Error response from daemon: ").strip() == why
    assert {f"{row}" for row in cli("images", "-a", "--format", "{{.Repository}}:{{.Tag}}").lines} == KEPT


def test_pull_by_digest(cli: DockerCli, registry: Registry) -> None:
    digest = registry.push(images.busybox_archive(), "lib/by-digest:x")
    name = f"{registry.address}/lib/by-digest@{digest}"
    cli("pull", name)
    assert cli("image", "inspect", name, "--format", "{{json .RepoDigests}}").out == json.dumps([name])
    assert cli("run", "--rm", name, "echo", "digest").out == "digest"


def test_pull_of_a_wrong_digest(cli: DockerCli, repository: str) -> None:
    result = cli.try_("pull", f"{repository}@sha256:{'0' * 64}")
    assert result.code == 1 and "manifest unknown" in result.err


def test_pull_of_an_unknown_tag(cli: DockerCli, repository: str) -> None:
    result = cli.try_("pull", f"{repository}:none")
    assert result.code == 1
    assert f"manifest for {repository}:none not found: manifest unknown" in result.err


def test_pull_from_nobody(cli: DockerCli) -> None:
    result = cli.try_("pull", "127.0.0.1:1/lib/busybox:1")
    assert result.code == 1 and "connection refused" in result.err


@pytest.mark.parametrize("name", ["UPPER", "a//b", "x:y:z", "busybox@sha256:12"])
def test_name_that_is_none(cli: DockerCli, name: str) -> None:
    assert cli.try_("pull", name).code == 1


def test_images_lists_and_filters(cli: DockerCli, repository: str) -> None:
    cli("pull", "-q", f"{repository}:1")
    lines = cli("images", "--format", "{{.Repository}}:{{.Tag}}").lines
    assert {f"{repository}:1", *KEPT} == set(lines)
    assert cli("images", "--format", "{{.Tag}}", "dressed").lines == ["1"]
    assert cli("images", "-q", "--filter", "label=maker=rig", "--no-trunc").lines == [
        cli("inspect", "dressed:1", "--format", "{{.Id}}").out
    ]
    assert cli("images", "-q", "--filter", "dangling=true").lines == []
    assert cli("images", "--format", "{{.Repository}}", "--filter", "reference=dre*").lines == ["dressed"]


def test_inspect_shows_the_config(cli: DockerCli) -> None:
    (found,) = json.loads(cli("image", "inspect", "dressed:1").out)
    config = found["Config"]
    assert found["RepoTags"] == ["dressed:1"]
    assert (found["Architecture"], found["Os"]) == ("amd64", "linux")
    assert found["Created"].startswith("2024-05-06T07:08:09")
    assert len(found["RootFS"]["Layers"]) == 2
    assert config["Entrypoint"] == ["echo", "dressed"] and config["Cmd"] == ["one", "two"]
    assert config["User"] == "app" and config["WorkingDir"] == "/srv/work"
    assert "COLOUR=green" in config["Env"] and config["StopSignal"] == "SIGUSR1"
    assert config["Labels"] == {"maker": "rig", "tier": "image"}
    assert config["ExposedPorts"] == {"8080/tcp": {}} and config["Volumes"] == {"/srv/seed": {}}
    assert found["Size"] > 1_000_000


def test_image_is_found_by_id_and_prefix(cli: DockerCli) -> None:
    whole = cli("inspect", "busybox", "--format", "{{.Id}}").out
    for name in (whole, whole.removeprefix("sha256:"), whole.removeprefix("sha256:")[:12]):
        assert cli("image", "inspect", name, "--format", "{{.Id}}").out == whole
        assert cli("run", "--rm", name, "echo", "by id").out == "by id"


def test_unknown_image(cli: DockerCli, api: Api) -> None:
    assert "No such image: nothing:latest" in cli.try_("image", "inspect", "nothing").err
    reply = api.request("GET", "/images/nothing/json")
    assert (reply.status, reply.message) == (404, "No such image: nothing:latest")
    reply = api.request("DELETE", "/images/nothing")
    assert (reply.status, reply.message) == (404, "No such image: nothing:latest")
    reply = api.request("POST", "/containers/create", {"Image": "nothing"})
    assert (reply.status, reply.message) == (404, "No such image: nothing:latest")


def test_tag_and_untag(cli: DockerCli) -> None:
    cli("tag", "busybox", "second:name")
    cli("tag", "busybox", "localhost:5000/deep/er/third")
    assert cli("run", "--rm", "second:name", "echo", "tagged").out == "tagged"
    assert cli("rmi", "second:name").lines == ["Untagged: second:name"]
    assert "No such image" in cli.try_("rmi", "second:name").err
    assert cli("rmi", "localhost:5000/deep/er/third").lines == ["Untagged: localhost:5000/deep/er/third:latest"]
    assert cli("images", "-q", "busybox").out


def test_tag_of_and_to_nothing(cli: DockerCli) -> None:
    assert "No such image: nothing:latest" in cli.try_("tag", "nothing", "x").err
    assert "not a valid repository/tag" in cli.try_("tag", "busybox", "UPPER").err


def test_rmi_by_id_of_an_image_with_several_names(cli: DockerCli) -> None:
    cli("load", input=images.archive([images.busybox_layer()], {"Cmd": ["a"]}, ["several:1", "several:2"]))
    whole = cli("inspect", "several:1", "--format", "{{.Id}}").out
    result = cli.try_("rmi", whole)
    assert result.code == 1
    assert (
        "(must be forced) - image is referenced in multiple repositories" in result.err
        or "must be forced" in result.err
    )
    lines = cli("rmi", "-f", whole).lines
    assert {"Untagged: several:1", "Untagged: several:2"} <= set(lines)
    assert f"Deleted: {whole}" in lines


def test_rmi_of_an_image_in_use(cli: DockerCli) -> None:
    cli("load", input=images.archive([images.busybox_layer()], {"Cmd": ["b"]}, ["used:1"]))
    whole = cli("inspect", "used:1", "--format", "{{.Id}}").out
    container = cli("run", "-d", "used:1", "sleep", "60").out
    result = cli.try_("rmi", "used:1")
    assert result.code == 1
    assert f"container {container[:12]} is using its referenced image {whole[7:19]}" in result.err
    assert cli.try_("rmi", "-f", whole).code == 1
    cli("rm", "-f", container)
    assert f"Deleted: {whole}" in cli("rmi", "used:1").lines


def test_load_tells_names_and_save_gives_it_back(cli: DockerCli, tmp_path: Path) -> None:
    data = images.archive([images.busybox_layer()], {"Cmd": ["c"]}, ["loaded:1", "loaded:2"])
    assert set(cli("load", input=data).lines) == {"Loaded image: loaded:1", "Loaded image: loaded:2"}
    whole = cli("inspect", "loaded:1", "--format", "{{.Id}}").out
    saved = cli("save", "loaded:1").stdout
    with tarfile.open(fileobj=io.BytesIO(saved)) as archive:
        manifest = json.load(archive.extractfile("manifest.json"))  # type: ignore[arg-type]
    assert manifest[0]["RepoTags"] == ["loaded:1"]
    cli("rmi", "loaded:1", "loaded:2")
    (tmp_path / "saved.tar").write_bytes(saved)
    assert cli("load", "-q", "-i", str(tmp_path / "saved.tar")).lines == ["Loaded image: loaded:1"]
    assert cli("inspect", "loaded:1", "--format", "{{.Id}}").out == whole
    assert cli("run", "--rm", "loaded:1", "echo", "again").out == "again"


def test_load_of_rubbish(cli: DockerCli) -> None:
    before = cli("images", "-qa").lines
    assert cli.try_("load", input=b"no archive at all" * 100).code == 1
    whole = images.busybox_archive("broken:1")
    assert cli.try_("load", input=whole[: len(whole) // 2]).code == 1
    assert cli("images", "-qa").lines == before


def test_import_from_stdin_with_changes(cli: DockerCli) -> None:
    words = ["-c", "CMD echo imported", "-c", "ENV A=b", "-m", "by hand"]
    whole = cli("import", *words, "-", "imported:1", input=images.busybox_layer()).lines[-1]
    assert whole == cli("inspect", "imported:1", "--format", "{{.Id}}").out
    assert cli("run", "--rm", "imported:1").out == "imported"
    assert cli("inspect", "imported:1", "--format", "{{json .Config.Env}} {{.Comment}}").out == '["A=b"] by hand'


def test_container_sees_whiteouts_and_config(cli: DockerCli) -> None:
    assert cli("run", "--rm", "dressed:1").out == "dressed one two"
    script = "id -un; pwd; echo $COLOUR; cat /srv/seed/file; ls /etc/data"
    result = cli.try_("run", "--rm", "--entrypoint", "sh", "dressed:1", "-c", script)
    assert result.out.splitlines() == ["app", "/srv/work", "green", "from the image"]
    assert "/etc/data" in result.err and result.code == 1


def test_api_list_has_what_clients_read(api: Api) -> None:
    (row,) = api.get(f"/v1.45/images/json?{filters(reference='dressed:1')}")
    assert row["RepoTags"] == ["dressed:1"] and row["Labels"]["maker"] == "rig"
    assert row["Id"].startswith("sha256:") and row["Size"] > 1_000_000 and row["Created"] == 1714979289
    assert row["Containers"] == -1 and row["SharedSize"] == -1
    (row,) = api.get(f"/v1.51/images/json?{filters(reference='dressed:1')}")
    assert row["Containers"] == 0


def test_docker_py_images(py: docker.DockerClient, repository: str) -> None:
    image = py.images.pull(repository, tag="1")
    assert f"{repository}:1" in image.tags
    assert image.tag("py", tag="x") is True
    assert py.images.get("py:x").id == image.id
    py.images.remove("py:x")
    with pytest.raises(docker.errors.ImageNotFound):
        py.images.get("py:x")
    saved = b"".join(image.save(named=True))
    assert [loaded.id for loaded in py.images.load(saved)] == [image.id]


def test_pull_through_the_api_is_a_stream_of_json(api: Api, registry: Registry) -> None:
    reply = api.request("POST", f"/images/create?fromImage={registry.address}/lib/busybox&tag=1")
    rows = [json.loads(line) for line in reply.body.splitlines()]
    assert reply.headers["transfer-encoding"] == "chunked" and reply.headers["content-type"] == "application/json"
    assert rows[0] == {"status": "Pulling from lib/busybox", "id": "1"}
    assert rows[-1]["status"].startswith("Status: ")
    reply = api.request("POST", f"/images/create?fromImage={registry.address}/lib/none&tag=1")
    assert reply.status == 404 and "manifest unknown" in reply.message


def test_pulls_one_right_after_another(api: Api, registry: Registry) -> None:
    """Their streams come in close order, and share what they can share."""
    for n in range(20):
        reply = api.request("POST", f"/images/create?fromImage={registry.address}/lib/busybox&tag=1")
        assert reply.status == 200 and b"Status: " in reply.body
        reply = api.request("POST", f"/images/create?fromImage={registry.address}/lib/none{n}&tag=1")
        assert reply.status == 404 and "manifest unknown" in reply.message


def test_push_and_pull_again(cli: DockerCli, registry: Registry, engine: Engine) -> None:
    name = f"{registry.address}/pushed/dressed:1"
    cli("tag", "dressed:1", name)
    lines = cli("push", name).lines
    assert lines[0] == f"The push refers to repository [{registry.address}/pushed/dressed]"
    assert [line.partition(": ")[2] for line in lines[1:3]] == ["Preparing", "Preparing"]
    assert lines[-1].startswith("1: digest: sha256:")
    digest = lines[-1].split()[2]
    image = engine.api.get(f"/images/{name}/json")
    assert f"{registry.address}/pushed/dressed@{digest}" in image["RepoDigests"]
    cli("rmi", "--force", image["Id"])
    assert f"Digest: {digest}" in cli("pull", name).lines
    assert engine.api.get(f"/images/{name}/json")["Id"] == image["Id"]
    cli("tag", name, "dressed:1")
    assert "Layer already exists" in cli("push", name).out


def test_push_by_docker_py(py: docker.DockerClient, registry: Registry, cli: DockerCli) -> None:
    name = f"{registry.address}/pushed/py"
    cli("tag", "busybox", f"{name}:1")
    lines = list(py.images.push(name, tag="1", stream=True, decode=True))
    pushed = next(line["aux"] for line in lines if "aux" in line)
    assert pushed["Tag"] == "1"
    data = py.images.get_registry_data(f"{name}:1")
    assert data.id == pushed["Digest"] and data.has_platform("linux/amd64")
    assert [image.id for image in py.images.pull(name, all_tags=True)] == [py.images.get(f"{name}:1").id]
    with pytest.raises(docker.errors.NotFound):
        py.images.get_registry_data(f"{name}:2")


def test_push_of_what_is_not_there(cli: DockerCli, registry: Registry) -> None:
    refused = cli.try_("push", f"{registry.address}/not/there:1")
    assert refused.code == 1
    assert f"An image does not exist locally with the tag: {registry.address}/not/there" in refused.err


def test_manifest_inspect(cli: DockerCli, registry: Registry, repository: str) -> None:
    shown = json.loads(cli("manifest", "inspect", "--insecure", f"{repository}:1").out)
    assert shown["schemaVersion"] == 2
