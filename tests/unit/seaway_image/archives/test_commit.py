from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_image.archives.commit import merged


def test_what_is_left_open_is_taken_from_the_container() -> None:
    below = ImageConfig(
        env=("A=1", "PATH=/bin"),
        entrypoint=("/e",),
        cmd=("c",),
        workdir="/w",
        user="u",
        labels={"a": "1", "b": "2"},
        exposed_ports=("80/tcp",),
        volumes=("/v",),
        stop_signal="SIGINT",
        healthcheck=Healthcheck(test=("CMD", "true"), retries=3),
        args_escaped=True,
    )
    assert merged(ImageConfig(), below) == below
    over = merged(
        ImageConfig(env=("A=2",), labels={"a": "9"}, exposed_ports=("81/tcp",), volumes=("/x",), user="me"), below
    )
    assert over.env == ("A=2", "PATH=/bin")
    assert over.labels == {"a": "9", "b": "2"}
    assert over.exposed_ports == ("80/tcp", "81/tcp")
    assert over.volumes == ("/v", "/x")
    assert (over.user, over.workdir, over.entrypoint, over.cmd) == ("me", "/w", ("/e",), ("c",))


def test_stop_signal_and_health_check_are_taken_field_by_field() -> None:
    below = ImageConfig(stop_signal="SIGINT", healthcheck=Healthcheck(test=("CMD", "true"), interval_ns=5, retries=3))
    assert merged(ImageConfig(stop_signal="SIGHUP"), below).stop_signal == "SIGHUP"
    check = merged(ImageConfig(healthcheck=Healthcheck(retries=9)), below).healthcheck
    assert check == Healthcheck(test=("CMD", "true"), interval_ns=5, retries=9)
    assert merged(ImageConfig(healthcheck=check), ImageConfig()).healthcheck == check


def test_shell_and_triggers_are_not_taken_over() -> None:
    found = merged(ImageConfig(), ImageConfig(shell=("/bin/ash",), on_build=("RUN x",)))
    assert (found.shell, found.on_build) == (None, ())


def test_a_command_of_its_own_keeps_the_entrypoint() -> None:
    below = ImageConfig(entrypoint=("/e",), cmd=("c",))
    found = merged(ImageConfig(cmd=("d",)), below)
    assert (found.entrypoint, found.cmd) == (("/e",), ("d",))


def test_an_entrypoint_of_its_own_drops_the_command() -> None:
    found = merged(ImageConfig(entrypoint=("/x",)), ImageConfig(entrypoint=("/e",), cmd=("c",)))
    assert (found.entrypoint, found.cmd) == (("/x",), None)
