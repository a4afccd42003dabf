"""Log options: the names, values and sentences of dockerd 26.1."""

import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.log_options import LogPolicy, TagFacts, attributes, check, details, policy

FACTS = TagFacts("1f88e714da5c" + "0" * 52, "web", "sha256:70f7f7033d09", "busybox")


@pytest.mark.parametrize(
    ("driver", "options", "sentence"),
    [
        ("syslog", {}, "logger: no log driver named 'syslog' is registered"),
        ("", {"foo": "bar"}, "unknown log opt 'foo' for json-file log driver"),
        ("local", {"tag": "x"}, "unknown log opt 'tag' for log driver local"),
        ("json-file", {"mode": "zz"}, "logger: logging mode not supported: zz"),
        (
            "json-file",
            {"max-buffer-size": "1m"},
            "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
        ),
        (
            "local",
            {"mode": "non-blocking", "max-buffer-size": "x"},
            "error parsing option max-buffer-size: invalid size: 'x'",
        ),
        ("json-file", {"cache-disabled": "x"}, "invalid value for option cache-disabled: x"),
        ("json-file", {"cache-foo": "x"}, "unknown log opt 'cache-foo' for json-file log driver"),
        ("json-file", {"max-size": "x"}, "failed to initialize logging driver: invalid size: 'x'"),
        ("json-file", {"max-size": "-1"}, "failed to initialize logging driver: invalid size: '-1'"),
        ("json-file", {"max-size": "0"}, "failed to initialize logging driver: max-size must be a positive number"),
        (
            "json-file",
            {"max-size": "1m", "max-file": "0"},
            "failed to initialize logging driver: max-file cannot be less than 1",
        ),
        (
            "json-file",
            {"max-file": "x"},
            'failed to initialize logging driver: strconv.Atoi: parsing "x": invalid syntax',
        ),
        (
            "json-file",
            {"compress": "zz"},
            'failed to initialize logging driver: strconv.ParseBool: parsing "zz": invalid syntax',
        ),
        (
            "json-file",
            {"compress": "true", "max-size": "1m"},
            "failed to initialize logging driver: "
            "compress cannot be true when max-file is less than 2 or max-size is not set",
        ),
        (
            "local",
            {"max-size": "x"},
            "failed to initialize logging driver: invalid value for max-size: x: invalid size: 'x'",
        ),
        (
            "local",
            {"max-file": "1"},
            "failed to initialize logging driver: compression cannot be enabled when max file count is 1",
        ),
        ("json-file", {"tag": "{{.Foo"}, "failed to initialize logging driver: template: log-tag:1: unclosed action"),
    ],
)
def test_what_docker_refuses(driver: str, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidParameter) as refusal:
        check(driver, options)
    assert str(refusal.value) == sentence


@pytest.mark.parametrize(
    "options", [{"tag": "{{.Foo}}"}, {"labels-regex": "("}, {"env-regex": "["}, {"tag": '{{printf "%s" .ID}}'}]
)
def test_tags_and_patterns_must_make_sense(options: dict[str, str]) -> None:
    with pytest.raises(InvalidParameter, match=r"^failed to initialize logging driver: "):
        check("json-file", options)


@pytest.mark.parametrize(
    ("driver", "options"),
    [
        ("none", {"anything": "goes"}),
        ("", {}),
        ("json-file", {"mode": "non-blocking", "max-buffer-size": "4m", "cache-max-size": "x"}),
        ("nats", {"max-size": "10m", "max-file": "3", "compress": "true", "tag": "{{ .Name }}"}),
    ],
)
def test_what_it_takes(driver: str, options: dict[str, str]) -> None:
    check(driver, options)


@pytest.mark.parametrize(
    ("driver", "options", "expected"),
    [
        ("json-file", {}, LogPolicy(0, 1, False)),
        ("json-file", {"max-file": "3"}, LogPolicy(0, 3, False)),
        ("json-file", {"max-size": "10m", "max-file": "3"}, LogPolicy(10_000_000, 3, False)),
        ("json-file", {"max-size": "1.5KiB"}, LogPolicy(1500, 1, False)),
        ("local", {}, LogPolicy(20 << 20, 5, True)),
        ("local", {"max-file": "1", "compress": "false"}, LogPolicy(20 << 20, 1, False)),
    ],
)
def test_policies(driver: str, options: dict[str, str], expected: LogPolicy) -> None:
    assert policy(driver, options) == expected


def test_attributes_are_what_docker_shows() -> None:
    options = {
        "labels": "a",
        "labels-regex": "^b",
        "env": "FOO,BAZ",
        "tag": "{{.Name}}/{{.ID}}-{{.ImageName}}-{{.ImageID}}-{{.DaemonName}} x",
    }
    labels = {"a": "1", "b.x": "2", "c": "3"}
    found = attributes("json-file", options, labels, ["FOO=b ar", "BAZ=q,=x", "HOME=/"], FACTS)
    assert details(found) == (
        b"BAZ=q%2C%3Dx,FOO=b+ar,a=1,b.x=2,tag=web%2F1f88e714da5c-busybox-sha256%3A70f7f-docker+x "
    )


def test_without_attributes_a_space_is_left() -> None:
    assert details(attributes("local", {}, {"a": "1"}, [], FACTS)) == b" "
