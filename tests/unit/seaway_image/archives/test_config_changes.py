import pytest

from seaway_contracts.errors import SeawayError
from seaway_contracts.images import Healthcheck, ImageConfig
from seaway_image.archives.config_changes import apply_changes


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        (['CMD ["a", "b c"]'], ImageConfig(cmd=("a", "b c"))),
        (["CMD a b"], ImageConfig(cmd=("/bin/sh", "-c", "a b"))),
        (["cmd a\nENTRYPOINT [\"e\"]"], ImageConfig(cmd=("/bin/sh", "-c", "a"), entrypoint=("e",))),
        (['ENV A=1 B="2 3"', "ENV A=4", "ENV C 5 6"], ImageConfig(env=("A=4", "B=2 3", "C=5 6"))),
        (['LABEL a.b="c d" e=f'], ImageConfig(labels={"a.b": "c d", "e": "f"})),
        (["EXPOSE 80 53/udp", "EXPOSE 80/tcp"], ImageConfig(exposed_ports=("53/udp", "80/tcp"))),
        (["WORKDIR /a", "WORKDIR b/../c"], ImageConfig(workdir="/a/c")),
        (["VOLUME /a /b", 'VOLUME ["/c d"]'], ImageConfig(volumes=("/a", "/b", "/c d"))),
        (["USER 1:2", "STOPSIGNAL SIGINT", "ONBUILD RUN x"],
         ImageConfig(user="1:2", stop_signal="SIGINT", on_build=("RUN x",))),
        (["HEALTHCHECK NONE"], ImageConfig(healthcheck=Healthcheck(test=("NONE",)))),
        (["HEALTHCHECK --interval=1m30s --retries=2 CMD curl x"],
         ImageConfig(healthcheck=Healthcheck(test=("CMD-SHELL", "curl x"), interval_ns=90 * 10**9, retries=2))),
        (["# comment", ""], ImageConfig()),
    ],
)  # fmt: skip
def test_instructions(changes: list[str], wanted: ImageConfig) -> None:
    assert apply_changes(ImageConfig(), changes) == wanted


def test_the_rest_of_the_config_stays() -> None:
    before = ImageConfig(env=("P=1",), shell=("/bin/bash", "-c"), labels={"a": "b"})
    after = apply_changes(before, ["CMD x", "ENV Q=2", "LABEL c=d"])
    assert after.cmd == ("/bin/bash", "-c", "x")
    assert after.env == ("P=1", "Q=2")
    assert after.labels == {"a": "b", "c": "d"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("FROM x", "FROM is not a valid change command"),
        ("CMD", "requires at least one argument"),
        ("ENV A", "two arguments"),
        ("ENV A=1 B", "can't find ="),
        ('ENV A="1', "No closing quotation"),
        ("EXPOSE 99999", "invalid port"),
        ("VOLUME /a/../b", "invalid volume"),
        ("USER -1", "uids and gids"),
        ("HEALTHCHECK x", "neither NONE nor CMD"),
        ("HEALTHCHECK --interval=1 CMD x", "no duration"),
        ("HEALTHCHECK --interval=1ns CMD x", "less than 1ms"),
    ],
)
def test_wrong_instructions(change: str, why: str) -> None:
    with pytest.raises(SeawayError, match=why):
        apply_changes(ImageConfig(), [change])
