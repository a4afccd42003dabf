import json
from typing import Any

import pytest

from seaway_contracts.errors import SeawayError
from seaway_contracts.images import Healthcheck, History, ImageConfig
from seaway_image.oci.config_encoding import encode_config
from seaway_image.oci.configs import format_time, parse_config, parse_time
from seaway_image.oci.digests import digest_of
from seaway_image.oci.platforms import Platform

DIFF = "sha256:" + "2" * 64


def document(run: dict[str, Any] | None = None, **fields: Any) -> bytes:
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": run or {},
            "rootfs": {"type": "layers", "diff_ids": [DIFF]},
        }
        | fields
    ).encode()


def test_a_whole_config_is_read() -> None:
    data = document(
        {
            "Env": ["A=1", "B=x\ny"],
            "Cmd": ["sh"],
            "Entrypoint": None,
            "User": "1000:www",
            "WorkingDir": "/srv",
            "Labels": {"k": "v"},
            "Volumes": {"/data": {}},
            "ExposedPorts": {"80": {}, "53/udp": {}, "8000-8010/tcp": {}},
            "StopSignal": "SIGINT",
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Retries": 3},
            "Shell": ["/bin/bash", "-c"],
            "OnBuild": ["RUN x"],
        },
        created="2024-05-01T10:00:00.5Z",
        author="me",
        history=[{"created_by": "a"}, {"created_by": "b", "empty_layer": True}],
    )
    found = parse_config(data)
    assert found.id == digest_of(data)
    assert found.platform == Platform()
    assert found.created_ns == 1714557600500000000
    assert found.diff_ids == (DIFF,)
    assert found.history == (History(created_by="a"), History(created_by="b", empty_layer=True))
    assert found.config == ImageConfig(
        env=("A=1", "B=x\ny"),
        cmd=("sh",),
        user="1000:www",
        workdir="/srv",
        labels={"k": "v"},
        volumes=("/data",),
        exposed_ports=("53/udp", "80/tcp", "8000-8010/tcp"),
        stop_signal="SIGINT",
        healthcheck=Healthcheck(test=("CMD", "true"), interval_ns=10**9, retries=3),
        shell=("/bin/bash", "-c"),
        on_build=("RUN x",),
    )


@pytest.mark.parametrize(
    ("run", "why"),
    [
        ({"User": "2147483648"}, "uids and gids"),
        ({"User": "-1"}, "uids and gids"),
        ({"User": "0:4294967295"}, "uids and gids"),
        ({"User": "root\nroot"}, "line break"),
        ({"Volumes": {"/data/../../etc": {}}}, "invalid volume"),
        ({"Volumes": {"/": {}}}, "invalid volume"),
        ({"WorkingDir": "/proc/self/fd/7"}, "open file"),
        ({"WorkingDir": "//proc/./self"}, ""),
        ({"WorkingDir": "/a\0b"}, "NUL"),
        ({"Env": ["=x"]}, "invalid environment"),
        ({"Env": ["A=\0"]}, "NUL"),
        ({"Env": [1]}, "must hold texts"),
        ({"Env": "A=1"}, "wrong kind"),
        ({"Env": [f"A{n}=1" for n in range(50_000)]}, "50000 entries|image config has"),
        ({"Labels": {f"l{n}": "" for n in range(10_000)}}, "10000 labels"),
        ({"Labels": {"a": 1}}, "no text"),
        ({"Cmd": ["a" * 200_000]}, "longer than"),
        ({"ExposedPorts": {"99999/tcp": {}}}, "invalid port"),
        ({"ExposedPorts": {"80/tcp; rm": {}}}, "invalid port"),
        ({"Healthcheck": {"Test": ["CMD", "x"], "Interval": 1}}, "cannot be less than 1ms"),
        ({"Healthcheck": {"Retries": -1}}, "negative"),
        ({"StopSignal": "TERM\n"}, "line break"),
    ],
)
def test_hostile_values_are_refused(run: dict[str, Any], why: str) -> None:
    if not why:
        parse_config(document(run))
        return
    with pytest.raises(SeawayError, match=why):
        parse_config(document(run))


def test_layers_and_history_must_agree() -> None:
    with pytest.raises(SeawayError, match="history tells of 2 layers, rootfs of 1"):
        parse_config(document(history=[{}, {}]))
    with pytest.raises(SeawayError, match="invalid digest"):
        parse_config(document(rootfs={"diff_ids": ["sha256:../x"]}))


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("", 0),
        ("1970-01-01T00:00:01Z", 10**9),
        ("0001-01-01T00:00:00Z", 0),
        ("2024-05-01T12:00:00.123456789+02:00", 1714557600123456789),
    ],
)
def test_times(text: str, time_ns: int) -> None:
    assert parse_time(text) == time_ns


def test_a_time_is_written_with_nine_digits() -> None:
    assert format_time(1714557600123456789) == "2024-05-01T10:00:00.123456789Z"
    with pytest.raises(SeawayError, match="RFC 3339"):
        parse_time("yesterday")


def test_a_made_config_is_read_back() -> None:
    config = ImageConfig(
        env=("A=1",), cmd=("a", "b"), labels={"x": "y"}, volumes=("/v",), exposed_ports=("80/tcp",), user="u",
        healthcheck=Healthcheck(test=("NONE",)), on_build=("RUN x",),
    )  # fmt: skip
    data = encode_config(
        platform=Platform("linux", "arm", "v7"),
        created_ns=5,
        config=config,
        diff_ids=[digest_of(b"")],
        history=[History(created_ns=5, comment="c")],
        comment="note",
    )
    found = parse_config(data)
    assert (found.config, found.created_ns, found.comment) == (config, 5, "note")
    assert found.platform == Platform("linux", "arm", "v7")
    assert found.history == (History(created_ns=5, comment="c"),)
