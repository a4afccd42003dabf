"""`seaway place`: what is read of `docker run`'s options, and what is shown."""

from typing import Any

import pytest

from seaway_cli import run_options
from seaway_cli.errors import CliError
from seaway_cli.main import main
from seaway_cli.place_view import explanation_text
from seaway_cli.placing import RunOptions, place_request
from seaway_contracts.placement import Condition, NodeVerdict, PlacementExplanation
from seaway_testing.builders import GIB


def test_the_request_is_that_of_a_create() -> None:
    found = place_request(
        RunOptions(
            image="busybox",
            env=("constraint:disk==ssd", "affinity:container!=~web*", "A=1"),
            labels=("tier=front", "com.seaway.reservation.cpus=0.5", "bare"),
            memory="2g",
            memory_reservation="1g",
            cpus="1.5",
            gpus="2",
            publish=("80:80", "[::1]:5353:53/udp", "90"),
            platform="linux/arm64",
            runtime="runsc",
        )
    )
    assert found.constraints == (Condition(key="disk", value="ssd"),)
    assert found.affinities == (Condition(key="container", value="web*", equal=False, soft=True),)
    resources = found.resources
    assert (resources.memory, resources.memory_reservation) == (2 * GIB, GIB)
    assert (resources.nano_cpus, resources.cpu_reservation) == (1_500_000_000, 500_000_000)
    assert [(one.count, one.capabilities) for one in found.devices] == [(2, (("gpu",),))]
    assert found.host_ports == (80, 5353)
    assert (found.platform, found.runtime, found.image_ref) == ("linux/arm64", "runsc", "busybox")
    assert found.labels["tier"] == "front" and found.labels["bare"] == ""


@pytest.mark.parametrize(
    ("text", "ports"),
    [
        ("80", ()),
        ("8080:80", (8080,)),
        ("127.0.0.1:8080:80/tcp", (8080,)),
        ("127.0.0.1::80", ()),
        ("[::1]:8080:80", (8080,)),
        ("0:80", ()),
        ("8000-8002:80-82", (8000, 8001, 8002)),
        ("8000-8010:80", ()),
    ],
)
def test_host_ports(text: str, ports: tuple[int, ...]) -> None:
    assert run_options.host_ports(text) == ports


@pytest.mark.parametrize("text", ["", "x", "80:", "99999:80", "a.b:80:80", "80-81:80-82", "-1:80", "1:2:3:4"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(CliError, match="is no port"):
        run_options.host_ports(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("data:/data", "data"), ("data:/data:ro", "data"), ("/srv:/data", ""), ("./x:/data", ""), ("/data", ""), ("", "")],
)
def test_volumes(text: str, name: str) -> None:
    assert run_options.volume(text) == name


def test_mounts_and_networks() -> None:
    assert run_options.mounted_volume("type=volume,src=data,target=/data") == "data"
    assert run_options.mounted_volume('source=data,"target=/a,b"') == "data"
    assert run_options.mounted_volume("type=bind,source=/srv,target=/data") == ""
    assert run_options.network("front") == "front"
    assert run_options.network("name=front,alias=web") == "front"


@pytest.mark.parametrize(
    ("text", "count", "ids"), [("all", -1, ()), ("2", 2, ()), ('"device=0,1"', 0, ("0", "1")), ("count=3", 3, ())]
)
def test_gpus(text: str, count: int, ids: tuple[str, ...]) -> None:
    found = run_options.gpus(text)
    assert (found.count, found.ids) == (count, ids)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"env": ("constraint:node",)}, "constraint 'node' is not valid: write key==value or key!=value"),
        ({"labels": ("=x",)}, "--label '=x' is no label: write KEY=VALUE or KEY"),
        ({"labels": ("com.seaway.reservation.cpus=-1",)}, "label com.seaway.reservation.cpus: '-1' is no number"),
        ({"memory": "-1"}, "--memory '-1' is no size: write bytes, or 512k, 512m, 2g"),
        ({"memory_reservation": "lots"}, "--memory-reservation 'lots' is no size"),
        ({"cpus": "-0.5"}, "--cpus '-0.5' is no number of CPUs"),
        ({"cpu_quota": -1}, "--cpu-period and --cpu-quota can't be negative"),
        ({"gpus": "some"}, "--gpus 'some': write all, a number, or device=ID"),
    ],
)
def test_what_cannot_be_read(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(CliError) as caught:
        place_request(RunOptions(image="busybox", **options))
    assert caught.value.exit_code == 2
    assert caught.value.message.startswith(sentence)


def test_it_only_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["place", "busybox"]) == 2
    assert "add --dry-run" in capsys.readouterr().err
    assert main(["place", "--help"]) == 0
    assert "--dry-run" in capsys.readouterr().out


def test_the_table_has_a_line_for_each_node() -> None:
    verdicts = (
        NodeVerdict(node="n2", rank=1, full=0.25, running=3, containers=4, has_image=True),
        NodeVerdict(node="n1", rank=2, running=9, containers=9, unmet=("host port", "heard")),
        NodeVerdict(node="n3", filter="constraint", reason="constraint node==/n[12]/ not met"),
    )
    text = explanation_text(PlacementExplanation(node="n2", verdicts=verdicts, left_out=7))
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "RANK NODE FULL RUNNING CONTAINERS FILTER WHY",
        "1 n2 25% 3 4 - has a container of the image",
        "2 n1 0% 9 9 - a host port is taken, has not been heard since the scheduler began",
        "- n3 - - - constraint constraint node==/n[12]/ not met",
        "… and 7 more nodes",
        "n2 is chosen, by the strategy spread.",
    ]
