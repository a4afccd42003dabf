"""docker commit: an image made of a container, which runs."""

import json
import time

import pytest
from e2e_rig.api import Api
from e2e_rig.docker_cli import DockerCli

JSON = {"Content-Type": "application/json"}
SCRIPT = "echo hi >/f; rm /bin/vi; rm -rf /home; mkdir /home; echo n>/home/n; ln /f /hard; touch /ready; sleep 600"


@pytest.fixture
def made(cli: DockerCli, name: str) -> str:
    """A running container with changes."""
    words = ("-e", "A=1", "-l", "lab=1", "--entrypoint", "/bin/sh", "-v", "/vol", "--network", "none")
    cli("run", "-d", "--name", name, *words, "busybox", "-c", SCRIPT)
    cli("exec", name, "sh", "-c", "while [ ! -e /ready ]; do :; done; echo v > /vol/v")
    return name


def config(cli: DockerCli, image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(cli("image", "inspect", "--format", "{{json .Config}}", image).out)
    return found


def test_the_new_image_runs_as_the_container_was(cli: DockerCli, made: str) -> None:
    image = cli("commit", "-m", "a message", "-a", "me", made, f"made/{made}:1").out
    assert image.startswith("sha256:")
    look = "cat /f /hard /home/n; ls /home; test ! -e /bin/vi && test ! -e /vol/v && stat -c %h /f; echo $A"
    told = cli("run", "--rm", "--network", "none", f"made/{made}:1", "-c", look)
    assert told.lines == ["hi", "hi", "n", "n", "2", "1"]
    form = "{{.Author}}|{{.Comment}}|{{len .RootFS.Layers}}"
    assert cli("image", "inspect", "--format", form, image).out == "me|a message|2"
    history = cli("history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", image).lines[0]
    assert history == f"-c {SCRIPT}|a message"
    cli("rmi", "-f", image)


def test_changes(cli: DockerCli, made: str) -> None:
    lines = (
        "ENV B=2", 'CMD ["-c","env"]', "EXPOSE 80", "LABEL z=1", "WORKDIR /w", "USER 1000", "VOLUME /v",
        "HEALTHCHECK CMD true", "STOPSIGNAL 9", "ONBUILD RUN x",
    )  # fmt: skip
    image = cli("commit", *(word for line in lines for word in ("--change", line)), made).out
    found = config(cli, image)
    wanted = {
        "Cmd": ["-c", "env"],
        "Entrypoint": ["/bin/sh"],
        "ExposedPorts": {"80/tcp": {}},
        "Labels": {"lab": "1", "z": "1"},
        "WorkingDir": "/w",
        "User": "1000",
        "Healthcheck": {"Test": ["CMD-SHELL", "true"]},
        "StopSignal": "9",
        "OnBuild": ["RUN x"],
    }
    assert {key: found[key] for key in wanted} == wanted
    assert {"A=1", "B=2"} <= set(found["Env"])  # type: ignore[arg-type]
    assert "/v" in found["Volumes"]  # type: ignore[operator]
    assert "B=2" in cli("run", "--rm", "--network", "none", image).lines
    cli("rmi", "-f", image)


def test_another_entrypoint_drops_the_command(cli: DockerCli, made: str) -> None:
    image = cli("commit", "--change", 'ENTRYPOINT ["/bin/echo","new"]', made).out
    assert cli("run", "--rm", "--network", "none", image).out == "new"
    cli("rmi", "-f", image)


def test_a_body_is_over_the_containers_config(cli: DockerCli, made: str, api: Api) -> None:
    body = json.dumps({"Cmd": ["-c", "true"], "Env": ["C=3"], "Labels": {"m": "n"}}).encode()
    reply = api.request("POST", f"/commit?container={made}&repo=z2&comment=c", body=body, headers=JSON)
    assert reply.status == 201
    found = config(cli, "z2:latest")
    assert (found["Cmd"], found["Entrypoint"]) == (["-c", "true"], ["/bin/sh"])
    assert found["Labels"] == {"lab": "1", "m": "n"}
    assert {"A=1", "C=3"} <= set(found["Env"])  # type: ignore[arg-type]
    assert reply.json()["Id"] == cli("image", "inspect", "--format", "{{.Id}}", "z2").out
    cli("rmi", "-f", "z2")


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("container=nobody", 404, "No such container: nobody"),
        ("", 400, 'invalid name or ID supplied: ""'),
        ("container={name}&repo=UPPER", 400, "must be lowercase"),
        ("container={name}&changes=RUN+x", 400, "RUN is not a valid change command"),
        ("container={name}&changes=ENV", 400, "ENV requires at least one argument"),
    ],
)
def test_refusals(cli: DockerCli, made: str, api: Api, query: str, status: int, text: str) -> None:
    before = set(cli("images", "-aq").lines)
    reply = api.request("POST", f"/commit?{query.format(name=made)}")
    assert reply.status == status and text in reply.message
    assert set(cli("images", "-aq").lines) == before
    assert cli("inspect", "--format", "{{.State.Status}}", made).out == "running"


def test_events_and_pause(cli: DockerCli, made: str) -> None:
    first = cli("commit", "-m", "m", made, f"made/{made}").out
    second = cli("commit", "--pause=false", made).out
    words = ("--since", "1h", "--until", f"{time.time() + 0.2:.3f}", "--filter", f"container={made}")
    form = "{{.Action}} {{.Actor.Attributes.imageID}} {{.Actor.Attributes.imageRef}} {{.Actor.Attributes.comment}}"
    told = [line.split() for line in cli("events", *words, "--format", form).lines]
    shown = [line[0] for line in told if line[0] in ("pause", "commit", "unpause")]
    assert shown == ["pause", "commit", "unpause", "commit"]
    commits = [line for line in told if line[0] == "commit"]
    assert commits[0][1:] == [first, f"made/{made}:latest", "m"]
    assert commits[1][1] == second
    cli("rmi", "-f", first, second)


def test_nothing_changed_adds_no_layer(cli: DockerCli, name: str) -> None:
    cli("create", "--name", name, "--network", "none", "busybox", "echo", "same")
    image = cli("commit", name).out
    count = "{{len .RootFS.Layers}}"
    assert cli("image", "inspect", "--format", count, image).out == "1"
    assert cli("run", "--rm", "--network", "none", image).out == "same"
    cli("rmi", "-f", image)
