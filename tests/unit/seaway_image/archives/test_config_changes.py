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
        (["# comment", "ENV A=1 \\\n  B=2"], ImageConfig(env=("A=1", "B=2"))),
        (["ENV A=1", "ENV A=2 B=$A C=${A} D='$A' E=\"$A b\" F=\\$A G=${Z:-80} H=${A:+yes}"],
         ImageConfig(env=("A=2", "B=1", "C=1", "D=$A", "E=1 b", "F=$A", "G=80", "H=yes"))),
        (["ENV A=x", "LABEL $A=$A", "USER $A:${Z:-5}", "WORKDIR /$A y", "VOLUME /$A", "EXPOSE ${Z:-80} 90-92/udp"],
         ImageConfig(env=("A=x",), labels={"x": "x"}, user="x:5", workdir="/x y", volumes=("/x",),
                     exposed_ports=("80/tcp", "90/udp", "91/udp", "92/udp"))),
        (["ENV A=9", "STOPSIGNAL $A", "CMD echo $A"],
         ImageConfig(env=("A=9",), stop_signal="9", cmd=("/bin/sh", "-c", "echo $A"))),
        (['ENV "B C"=1 B="a"\'b c\'', "ENV Q a  b"], ImageConfig(env=("B C=1", "B=ab c", "Q=a  b"))),
        ([], ImageConfig()),
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
        ("# nothing", "file with no instructions"),
        ("CMD", "requires at least one argument"),
        ("ENV A", "ENV must have two arguments"),
        ("ENV A=1 B", 'can\'t find = in "B". Must be of the form: name=value'),
        ("ENV =1", "ENV names can not be blank"),
        ('ENV A="1', r'failed to process "\\"1": unexpected end of statement while looking for matching double-quote'),
        ("EXPOSE 80 99999", "Invalid containerPort: 99999"),
        ("EXPOSE x/tcp", "Invalid containerPort: x"),
        ("VOLUME /a/../b", "invalid volume"),
        ('VOLUME ""', "VOLUME specified can not be an empty string"),
        ("USER -1", "uids and gids"),
        ("STOPSIGNAL NONSENSE", "invalid signal: NONSENSE"),
        ("ONBUILD ONBUILD x", "Chaining ONBUILD"),
        ("ONBUILD from x", "FROM isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK x", 'Unknown type "X" in HEALTHCHECK'),
        ("HEALTHCHECK --foo=1 CMD x", "unknown flag: foo"),
        ("HEALTHCHECK --interval=1 CMD x", "no duration"),
        ("HEALTHCHECK --interval=1ns CMD x", "less than 1ms"),
    ],
)
def test_wrong_instructions(change: str, why: str) -> None:
    with pytest.raises(SeawayError, match=why):
        apply_changes(ImageConfig(), [change])


def test_what_doubles_ends_at_a_bound() -> None:
    doubling = ["ENV A=xxxxxxxx", *["ENV A=$A$A"] * 64]
    wide = ["ENV A=" + "x" * 100_000, "ENV " + " ".join(f"B{n}=$A" for n in range(4000))]
    for changes in (doubling, wide, ["LABEL " + " ".join(f"B{n}=${{Z:-{'x' * 1000}}}" for n in range(4000))]):
        with pytest.raises(SeawayError, match="more text than an image's config may hold"):
            apply_changes(ImageConfig(), changes)
