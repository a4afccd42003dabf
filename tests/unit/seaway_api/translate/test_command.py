"""The user's config over the image's."""

import pytest

from seaway_api.translate.command import merged_args, merged_command, merged_env, merged_health
from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_docker.errors import InvalidParameter
from seaway_docker.model_container import ContainerConfig, HealthConfig
from seaway_docker.model_host import HostConfig

IMAGE = ImageConfig(entrypoint=("/entry",), cmd=("a", "b"))


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "wanted"),
    [
        (None, None, (("/entry",), ("a", "b"))),
        (None, ["c"], (("/entry",), ("c",))),
        (["/mine"], None, (("/mine",), None)),
        (["/mine"], ["c"], (("/mine",), ("c",))),
        ([], ["c"], ((), ("c",))),
        ([], None, ((), ("a", "b"))),
        ([""], ["c"], (None, ("c",))),
    ],
)
def test_entrypoint_and_cmd(entrypoint: list[str] | None, cmd: list[str] | None, wanted: object) -> None:
    assert merged_args(ContainerConfig(entrypoint=entrypoint, cmd=cmd), IMAGE) == wanted


@pytest.mark.parametrize("entrypoint", [None, [], [""]])
def test_nothing_to_run(entrypoint: list[str] | None) -> None:
    with pytest.raises(InvalidParameter, match="no command specified"):
        merged_args(ContainerConfig(entrypoint=entrypoint), ImageConfig())


def test_an_entrypoint_that_was_emptied_discards_the_images_cmd() -> None:
    with pytest.raises(InvalidParameter, match="no command specified"):
        merged_args(ContainerConfig(entrypoint=[""]), IMAGE)


def test_env_is_the_users_then_what_the_image_adds() -> None:
    assert merged_env(["B=2", "A=mine", "GONE"], ["PATH=/bin", "A=1", "GONE=x", "C=3"]) == (
        "B=2",
        "A=mine",
        "GONE",
        "PATH=/bin",
        "C=3",
    )


def test_the_shell_is_the_users() -> None:
    """Docker's merge leaves the image's to builds."""
    image = IMAGE.model_copy(update={"shell": ("/bin/ash",)})
    assert merged_command(ContainerConfig(shell=["/bin/bash", "-c"]), HostConfig(), image).shell == ("/bin/bash", "-c")
    assert merged_command(ContainerConfig(), HostConfig(), image).shell == ()


def test_the_terminals_first_size() -> None:
    sized = merged_command(ContainerConfig(), HostConfig(console_size=[20, 70]), IMAGE)
    assert (sized.height, sized.width) == (20, 70)
    assert merged_command(ContainerConfig(), HostConfig(), IMAGE).height == 0


def test_a_probe_takes_from_the_image_what_the_user_leaves_open() -> None:
    base = Healthcheck(test=("CMD", "x"), interval_ns=5, retries=3)
    merged = merged_health(HealthConfig(interval=9), base)
    assert merged == Healthcheck(test=("CMD", "x"), interval_ns=9, retries=3)
    assert merged_health(None, base) is base
    assert merged_health(None, None) is None
