"""`seaway node ls`, `inspect`, `label`: what is shown, and what is read of words."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from seaway_cli.errors import CliError
from seaway_cli.main import main
from seaway_cli.node_settings import parse_labels, parse_share
from seaway_cli.node_view import as_document, print_node, print_nodes
from seaway_contracts.joining import NodeIdentity
from seaway_contracts.node_settings import NodeSettings, Reserved, ReservedChange
from seaway_contracts.nodes import NodeFacts, NodeRecord
from seaway_testing.builders import GIB, node_record

JOINED = NodeIdentity(node="n2", public_key="U" * 56, since_ns=10**9, token="0123456789ab")


def record() -> NodeRecord:
    facts = NodeFacts(
        address="192.0.2.1",
        labels={"zone": "a", "disk": "hdd"},
        devices={"nvidia.com/gpu": 2},
        warnings=("[no] swap",),
    )
    settings = NodeSettings(node="n1", labels={"disk": "[ssd]"}, availability="drain", reserved=Reserved(memory=GIB))
    found = node_record("n1", facts=facts, running=1, containers=2, pressure=("disk",))
    return found.model_copy(update={"settings": settings})


def shown(show: Callable[[Console], None]) -> str:
    out = io.StringIO()
    show(Console(file=out, width=200))
    return out.getvalue()


def test_the_table_has_a_line_for_each_node() -> None:
    lines = shown(lambda console: print_nodes([record(), node_record("n2", up=False)], console)).splitlines()
    assert " ".join(lines[0].split()) == "NODE STATE AVAILABILITY ADDRESS CPUS MEMORY RUNNING CONTAINERS LABELS"
    assert " ".join(lines[1].split()) == "n1 up drain 192.0.2.1 4 8.0 GiB 1 2 disk=[ssd] zone=a"
    assert " ".join(lines[2].split()) == "n2 down active - 4 8.0 GiB 0 0 -"


def test_labels_are_whole_on_a_narrow_terminal() -> None:
    out = io.StringIO()
    print_nodes([record()], Console(file=out, width=80))
    assert out.getvalue().splitlines()[0].endswith("LABELS")
    assert "".join(out.getvalue().split()).endswith("disk=[ssd]zone=a")


def test_inspect_has_a_line_for_each_property() -> None:
    text = shown(lambda console: print_node(record(), JOINED, console))
    lines = {line[:12].strip(): line[12:].strip() for line in text.splitlines()}
    assert lines["availability"] == "drain"
    assert lines["address"] == "192.0.2.1"
    assert lines["pressure"] == "disk"
    assert lines["labels"] == "disk=[ssd] zone=a"
    assert lines["kept free"] == "0 CPUs, 1.0 GiB"
    assert lines["memory"] == "8.0 GiB, 8.0 GiB free"
    assert lines["devices"] == "nvidia.com/gpu=2"
    assert lines["warning"] == "[no] swap"
    assert lines["joined"] == f"1970-01-01 00:00:01 UTC by the token 0123456789ab, with the key {JOINED.public_key}"


def test_json_has_the_labels_of_both_sources_once() -> None:
    document = as_document(record())
    assert (document["node"], document["state"], document["availability"]) == ("n1", "up", "drain")
    assert document["labels"] == {"zone": "a", "disk": "[ssd]"}
    assert document["kept_free"] == {"nano_cpus": 0, "memory": GIB}
    assert document["address"] == "192.0.2.1"
    assert document["capacity"]["memory"] == 8 * GIB
    assert (document["running"], document["containers"], document["pressure"]) == (1, 2, ("disk",))
    assert "labels" not in document["facts"] and document["identity"] is None
    identity = as_document(record(), JOINED)["identity"]
    assert identity == {"public_key": JOINED.public_key, "token": "0123456789ab", "since_ns": 10**9}


def test_labels_to_set_and_to_remove() -> None:
    assert parse_labels(["a=1", "b=", "c=x=y", "d-"]) == ({"a": "1", "b": "", "c": "x=y"}, ("d",))


def test_a_share() -> None:
    assert parse_share("2g", 0.5) == ReservedChange(memory=2 * GIB, nano_cpus=500_000_000)
    assert parse_share("0", None) == ReservedChange(memory=0)
    with pytest.raises(CliError, match="give --memory"):
        parse_share(None, None)
    for memory, cpus in (("much", 0.0), ("-1", 0.0), ("", 0.0), ("1g", float("nan")), (None, -1.0)):
        with pytest.raises(CliError) as caught:
            parse_share(memory, cpus)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("words", "sentence"), [(["a"], "'a' is no label: write KEY=VALUE"), (["a=1", "a=2"], "'a' is given twice")]
)
def test_what_is_no_label(words: list[str], sentence: str) -> None:
    with pytest.raises(CliError, match=sentence) as caught:
        parse_labels(words)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("words", [("ls",), ("inspect", "n1"), ("label", "n1", "a=b"), ("drain", "n1")], ids=" ".join)
def test_no_suite_runs(capsys: pytest.CaptureFixture[str], tmp_path: object, words: tuple[str, ...]) -> None:
    code = main(["node", *words, "--root", f"{tmp_path}/root", "--run", f"{tmp_path}/run"])
    assert code == 1
    assert capsys.readouterr().err.startswith(f"seaway: no suite runs in {tmp_path}/run: ")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--strategy", "best"), "'best' is no strategy: use spread, binpack or random"),
        (("--memory-overcommit", "nan"), "nan is no overcommit"),
        (("--cpu-overcommit", "inf"), "inf is no overcommit"),
    ],
)
def test_settings_of_the_cluster_that_make_no_sense(
    capsys: pytest.CaptureFixture[str], tmp_path: object, words: tuple[str, ...], sentence: str
) -> None:
    code = main(["cluster", "update", *words, "--root", f"{tmp_path}/root", "--run", f"{tmp_path}/run"])
    assert code == 2
    assert capsys.readouterr().err.startswith(f"seaway: {sentence}")
