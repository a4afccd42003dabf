from seaway_contracts.images import ImageConfig
from seaway_image.commit import merged


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


def test_a_command_of_its_own_keeps_the_entrypoint() -> None:
    below = ImageConfig(entrypoint=("/e",), cmd=("c",))
    found = merged(ImageConfig(cmd=("d",)), below)
    assert (found.entrypoint, found.cmd) == (("/e",), ("d",))


def test_an_entrypoint_of_its_own_drops_the_command() -> None:
    found = merged(ImageConfig(entrypoint=("/x",)), ImageConfig(entrypoint=("/e",), cmd=("c",)))
    assert (found.entrypoint, found.cmd) == (("/x",), None)
