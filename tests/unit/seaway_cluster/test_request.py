"""What is asked for, merged with what the image says."""

import itertools
from typing import Any

import pytest

from seaway_cluster.request import (
    ContainerRequest,
    Identity,
    container_spec,
    merged_args,
    merged_command,
    merged_env,
    merged_health,
    place_request,
)
from seaway_contracts.containers import Command, ContainerSpec, Mount
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_contracts.placement import PlacedMount
from seaway_testing import builders

ID = builders.container_id(1)
IMAGE = ImageConfig(entrypoint=("/entry",), cmd=("a", "b"))
Args = tuple[str, ...] | None


def spec_of(image: ImageConfig = IMAGE, **request: Any) -> ContainerSpec:
    numbers = itertools.count(1)
    identity = Identity(ID, "web", builders.START_NS, lambda: f"volume{next(numbers)}")
    return container_spec(ContainerRequest(image="box", **request), builders.image(1, config=image), identity)


# --- the command


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "wanted"),
    [
        (None, None, (("/entry",), ("a", "b"))),
        (None, ("c",), (("/entry",), ("c",))),
        (("/mine",), None, (("/mine",), None)),
        (("/mine",), ("c",), (("/mine",), ("c",))),
        ((), ("c",), ((), ("c",))),
        ((), None, ((), ("a", "b"))),
        (("",), ("c",), (None, ("c",))),
    ],
)
def test_entrypoint_and_cmd(entrypoint: Args, cmd: Args, wanted: object) -> None:
    assert merged_args(entrypoint, cmd, IMAGE) == wanted


@pytest.mark.parametrize("entrypoint", [None, (), ("",)])
def test_nothing_to_run(entrypoint: Args) -> None:
    with pytest.raises(SeawayError, match="no command specified") as caught:
        merged_args(entrypoint, None, ImageConfig())
    assert caught.value.code is Code.BAD_REQUEST


def test_an_entrypoint_that_was_emptied_discards_the_images_cmd() -> None:
    with pytest.raises(SeawayError, match="no command specified"):
        merged_args(("",), None, IMAGE)


def test_env_is_the_users_then_what_the_image_adds() -> None:
    assert merged_env(["B=2", "A=mine", "GONE"], ["PATH=/bin", "A=1", "GONE=x", "C=3"]) == (
        "B=2",
        "A=mine",
        "GONE",
        "PATH=/bin",
        "C=3",
    )


def test_what_a_command_leaves_open_comes_from_the_image() -> None:
    image = IMAGE.model_copy(update={"workdir": "/w", "user": "u", "stop_signal": "SIGINT", "shell": ("/bin/ash",)})
    merged = merged_command(Command(tty=True), image)
    assert (merged.workdir, merged.user, merged.stop_signal, merged.tty) == ("/w", "u", "SIGINT", True)
    own = merged_command(Command(workdir="/mine", user="me", stop_signal="SIGHUP"), image)
    assert (own.workdir, own.user, own.stop_signal) == ("/mine", "me", "SIGHUP")
    assert merged.shell == (), "Docker's merge leaves the image's to builds"


def test_a_probe_takes_from_the_image_what_the_user_leaves_open() -> None:
    base = Healthcheck(test=("CMD", "x"), interval_ns=5, retries=3)
    assert merged_health(Healthcheck(interval_ns=9), base) == Healthcheck(test=("CMD", "x"), interval_ns=9, retries=3)
    assert merged_health(None, base) is base
    assert merged_health(Healthcheck(retries=1), None) == Healthcheck(retries=1)
    assert merged_health(None, None) is None


# --- the rest


def test_defaults() -> None:
    spec = spec_of()
    assert (spec.id, spec.name, spec.image.ref, spec.image.id) == (ID, "web", "box", builders.image(1).id)
    assert (spec.network.networks, spec.network.hostname) == (("bridge",), ID[:12])
    assert (spec.shm_size, spec.restart.name, spec.log.driver) == (64 << 20, "no", "json-file")


@pytest.mark.parametrize(
    ("networking", "hostname"),
    [
        (builders.networking("none"), ID[:12]),
        (builders.networking("none", hostname="h"), "h"),
        (builders.networking("host"), ""),
        (builders.networking("host", hostname="h"), "h"),
        (builders.networking(f"container:{ID}"), ""),
    ],
)
def test_the_host_name(networking: Any, hostname: str) -> None:
    assert spec_of(network=networking).network.hostname == hostname


def test_labels_and_ports_of_image_and_user_together() -> None:
    image = IMAGE.model_copy(update={"labels": {"a": "1", "b": "1"}, "exposed_ports": ("80/tcp", "90/udp")})
    spec = spec_of(image, labels={"b": "2"}, network=builders.networking(exposed_ports=("90/udp",)))
    assert spec.labels == {"a": "1", "b": "2"}
    assert spec.network.exposed_ports == ("90/udp", "80/tcp")


def test_declared_volumes_yield_to_mounts_and_never_leave_the_root() -> None:
    image = IMAGE.model_copy(update={"volumes": ("data", "../..", "/", "/b/", "/v")})
    mounts = (Mount(type="bind", target="/a", source="/srv"), Mount(type="volume", target="/b", source="vol"))
    spec = spec_of(image, mounts=mounts, volumes=("/v", "//x/../y/"))
    assert [(mount.type, mount.target, mount.source, mount.anonymous) for mount in spec.mounts] == [
        ("bind", "/a", "/srv", False),
        ("volume", "/b", "vol", False),
        ("volume", "/v", "volume1", True),
        ("volume", "/y", "volume2", True),
        ("volume", "/data", "volume3", True),
    ]
    assert spec.image_volumes == ("/v", "//x/../y/", "data", "../..", "/", "/b/")


def test_own_mounts_go_before_those_taken_over_but_for_anonymous_ones() -> None:
    image = IMAGE.model_copy(update={"volumes": ("/image",)})
    own = (Mount(type="bind", target="/b", source="/own"), Mount(type="volume", target="/v", anonymous=True))
    theirs = tuple(Mount(type="volume", target=path, source="theirs") for path in ("/b", "/v", "/image", "/more"))
    spec = spec_of(image, mounts=own, taken_over=theirs)
    assert [(mount.target, mount.source) for mount in spec.mounts] == [
        ("/b", "/own"),
        ("/v", "theirs"),
        ("/image", "theirs"),
        ("/more", "theirs"),
    ]


def test_an_anonymous_volume_that_is_taken_over_keeps_its_name() -> None:
    theirs = Mount(type="volume", target="/v", source="theirs", anonymous=True)
    assert spec_of(taken_over=(theirs,)).mounts == (theirs,)


def test_the_scheduler_is_asked_before_volumes_have_names() -> None:
    mounts = (Mount(type="volume", target="/a", anonymous=True),)
    asked = place_request(ContainerRequest(image="box", mounts=mounts, volumes=("/v",), platform="linux"), ID)
    assert asked.mounts == (PlacedMount(type="volume", target="/a"), PlacedMount(type="volume", target="/v"))
    assert (asked.container_id, asked.image_ref, asked.networks, asked.platform) == (ID, "box", ("bridge",), "linux")
