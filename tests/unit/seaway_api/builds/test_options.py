"""The parameters of a build."""

import pytest
from multidict import MultiDict

from seaway_api.builds.options import auth_of, build_request
from seaway_contracts.containers import Ulimit
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.images import RegistryAuth
from seaway_docker.errors import InvalidParameter


def test_all_at_once() -> None:
    query = MultiDict(
        {
            "dockerfile": "d", "target": "x", "buildargs": '{"A":"1","B":null}', "labels": '{"l":"v"}', "nocache": "1",
            "memory": "8000000", "cpuquota": "5", "ulimits": '[{"Name":"nofile","Soft":1,"Hard":2}]', "shmsize": "7",
            "extrahosts": "a:1.2.3.4", "networkmode": "none", "pull": "1", "q": "1", "rm": "0", "cachefrom": '["c"]',
            "buildid": "me", "squash": "1", "cgroupparent": "/jobs",
        }
    )  # fmt: skip
    query.add("t", "app")
    query.add("t", "docker.io/library/app:latest")
    query.add("t", "reg:5000/x:2")
    asked = build_request(query)
    assert asked.tags == ("app:latest", "reg:5000/x:2")
    assert (asked.network, asked.pull, asked.quiet, asked.removes, asked.cache_from) == (
        "none",
        True,
        True,
        False,
        ("c",),
    )
    options = asked.options
    assert (options.args, options.labels, options.no_cache, options.squash) == (
        {"A": "1", "B": None},
        {"l": "v"},
        True,
        True,
    )
    assert (options.resources.memory, options.resources.memory_swap) == (8_000_000, 16_000_000)
    assert options.resources.cgroup_parent == "/jobs"
    assert options.resources.ulimits == (Ulimit(name="nofile", soft=1, hard=2),)
    assert (options.shm_size, options.extra_hosts, asked.build_id) == (7, ("a:1.2.3.4",), "me")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("buildargs", "x", "error reading build args: invalid character 'x' looking for beginning of value"),
        ("cachefrom", "{}", "cannot unmarshal object into Go value of type []string"),
        ("cachefrom", "[1]", "cannot unmarshal number into Go value of type string"),
        ("labels", '{"a":1}', "error reading labels: json: cannot unmarshal number into Go value of type string"),
        ("labels", "[]", "error reading labels"),
        ("ulimits", '[{"Name":"nope","Soft":1,"Hard":1}]', "invalid ulimit type: nope"),
        ("ulimits", "[1]", "error reading ulimit settings"),
        ("securityopt", "x", "security options are not supported on linux"),
        ("outputs", '[{"Type":"local"}]', "BuildKit"),
        ("cgroupparent", "/x\0", "can't hold a NUL"),
        ("cgroupparent", "/a/" + "x" * 256, "the cgroup parent is too long"),
        ("cgroupparent", "a/" * 1025, "the cgroup parent is too long"),
        ("isolation", "nope", 'unsupported isolation: "nope"'),
    ],
)
def test_refusals(key: str, value: str, sentence: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        build_request(MultiDict({key: value}))
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("t", "A:B:C", "invalid reference format"),
        ("t", "a@sha256:" + "a" * 64, "build tag cannot contain a digest"),
        ("shmsize", "x", "invalid syntax"),
    ],
)
def test_refusals_with_500(key: str, value: str, sentence: str) -> None:
    with pytest.raises(SeawayError, match=sentence) as refused:
        build_request(MultiDict({key: value}))
    assert refused.value.code is Code.INTERNAL


def test_credentials_by_registry() -> None:
    hub, own = RegistryAuth(username="hub"), RegistryAuth(username="own")
    auths = {"https://index.docker.io/v1/": hub, "reg.example:5000": own}
    assert (auth_of(auths, "docker.io"), auth_of(auths, "reg.example:5000"), auth_of(auths, "x")) == (hub, own, None)
