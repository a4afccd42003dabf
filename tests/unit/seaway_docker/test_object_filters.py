import pytest

from seaway_docker.errors import InvalidParameter
from seaway_docker.filters import Filters
from seaway_docker.object_filters import (
    ImageFacts,
    NetworkFacts,
    check_network_filters,
    image_matches,
    matching_references,
    network_matches,
)

IMAGE = ImageFacts(("busybox:1.36", "quay.io/a/b:x"), {"l": "1"}, 100)
BRIDGE = NetworkFacts("abc123", "bridge")
CUSTOM = NetworkFacts("def456", "app_default", labels={"com.docker.compose.project": "app"}, in_use=True)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("busybox", True),
        ("busy*", True),
        ("*:1.36", True),
        ("*/*/*", True),
        ("quay.io/a/b", True),
        ("*", True),
        ("alpine", False),
        ("quay.io/*", False),
    ],
)
def test_image_reference_globs(pattern: str, expected: bool) -> None:
    assert image_matches(Filters({"reference": (pattern,)}), IMAGE) is expected


def test_reference_leaves_only_what_matches() -> None:
    assert matching_references(Filters({"reference": ("busybox",)}), IMAGE.references) == ("busybox:1.36",)
    with pytest.raises(InvalidParameter, match="syntax error in pattern"):
        matching_references(Filters({"reference": ("[",)}), IMAGE.references)


def test_dangling_images() -> None:
    loose = ImageFacts()
    assert image_matches(Filters({"dangling": ("true",)}), loose)
    assert not image_matches(Filters({"dangling": ("true",)}), IMAGE)
    assert image_matches(Filters({"dangling": ("false",)}), IMAGE)
    assert not image_matches(Filters({"dangling": ("0",)}), loose)


def test_image_age_and_labels() -> None:
    assert image_matches(Filters({"label": ("l=1",)}), IMAGE, before_ns=101, since_ns=99, until_ns=101)
    assert not image_matches(Filters(), IMAGE, before_ns=100)
    assert not image_matches(Filters(), IMAGE, since_ns=100)
    assert not image_matches(Filters(), IMAGE, until_ns=100)
    assert not image_matches(Filters({"label": ("m",)}), IMAGE)


@pytest.mark.parametrize(
    ("key", "value", "bridge", "custom"),
    [
        ("name", "app", False, True),
        ("name", "^bridge$", True, False),
        ("id", "abc", True, False),
        ("driver", "bridge", True, True),
        ("driver", "br", False, False),
        ("scope", "local", True, True),
        ("type", "builtin", True, False),
        ("type", "custom", False, True),
        ("dangling", "false", True, True),
        ("dangling", "true", False, False),
        ("label", "com.docker.compose.project=app", False, True),
    ],
)
def test_networks(key: str, value: str, bridge: bool, custom: bool) -> None:
    filters = Filters({key: (value,)})
    assert (network_matches(filters, BRIDGE), network_matches(filters, CUSTOM)) == (bridge, custom)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"type": ("zz",)}, "invalid filter: 'type'='zz'"),
        ({"dangling": ("zz",)}, 'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")'),
        ({"dangling": ("true", "false")}, 'got more than one value for filter key "dangling"'),
    ],
)
def test_bad_network_values(values: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        check_network_filters(Filters(values))
    assert str(caught.value) == message
