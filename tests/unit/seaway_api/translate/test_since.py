"""What each version of the API shows."""

from typing import Any

import pytest

from seaway_api.translate.images import image_json
from seaway_api.translate.info import Cluster, info_json
from seaway_api.translate.since import check_image_platform, image_shown, info_shown, removed_platform
from seaway_api.translate.version import ApiVersion
from seaway_contracts.errors import SeawayError
from seaway_contracts.nodes import NodeFacts
from seaway_docker.errors import InvalidParameter
from seaway_testing import builders


@pytest.mark.parametrize(
    ("version", "firewall", "expected_commits", "bridge_filters", "nondistributable"),
    [
        ((1, 24), False, True, True, True),
        ((1, 48), False, True, True, True),
        ((1, 49), True, False, True, False),
        ((1, 50), True, False, False, False),
        ((1, 51), True, False, False, False),
    ],
)
def test_info(
    version: ApiVersion, firewall: bool, expected_commits: bool, bridge_filters: bool, nondistributable: bool
) -> None:
    info = info_shown(version, info_json(Cluster(), node="n1", now_ns=1, readers=0))
    assert ("FirewallBackend" in info) is firewall
    assert ("Expected" in info["RuncCommit"]) is expected_commits
    assert ("BridgeNfIptables" in info and "BridgeNfIp6tables" in info) is bridge_filters
    assert ("AllowNondistributableArtifactsCIDRs" in info["RegistryConfig"]) is nondistributable


def test_devices_of_all_nodes() -> None:
    nodes = tuple(
        builders.node_record(node, facts=NodeFacts(device_names=names))
        for node, names in (("n1", ("nvidia.com/gpu=0", "x.y/z=a")), ("n2", ("nvidia.com/gpu=0", "nvidia.com/gpu=1")))
    )
    whole = info_json(Cluster(nodes=nodes), node="n1", now_ns=1, readers=0)
    assert [one["ID"] for one in info_shown((1, 50), whole)["DiscoveredDevices"]] == [
        "nvidia.com/gpu=0",
        "nvidia.com/gpu=1",
        "x.y/z=a",
    ]
    assert {one["Source"] for one in whole["DiscoveredDevices"]} == {"cdi"}
    assert "DiscoveredDevices" not in info_shown((1, 49), whole)
    none = info_json(Cluster(), node="n1", now_ns=1, readers=0)
    assert "DiscoveredDevices" not in info_shown((1, 51), none)


def test_platforms_of_a_removal() -> None:
    one = '{"os":"linux","architecture":"amd64"}'
    assert removed_platform((1, 51), ()) == ""
    assert removed_platform((1, 50), (one,)) == one
    assert removed_platform((1, 49), (one, "no JSON")) == ""
    for texts, why in (
        ((one, one), "multiple platforms are not supported"),
        (("no JSON",), "failed to parse platform"),
        ((one, "{}"), "both OS and Architecture must be provided"),
    ):
        with pytest.raises(InvalidParameter, match=why):
            removed_platform((1, 50), texts)


@pytest.mark.parametrize(("version", "there"), [((1, 24), True), ((1, 49), True), ((1, 50), False), ((1, 51), False)])
def test_config_of_an_image(version: ApiVersion, there: bool) -> None:
    config: dict[str, Any] = image_shown(version, image_json(builders.image(), version))["Config"]
    for name in ("Hostname", "Domainname", "AttachStdin", "Tty", "OpenStdin", "StdinOnce", "Image"):
        assert (name in config) is there, name
    assert "Cmd" in config and "Volumes" in config


def test_platform_of_an_image() -> None:
    image = builders.image()
    check_image_platform("", "x", image)
    check_image_platform(f'{{"os":"{image.os}","architecture":"{image.architecture}"}}', "x", image)
    with pytest.raises(
        SeawayError,
        match=r"x was found but its platform \(.*\) does not match .* \(linux/s390x\)",
    ):
        check_image_platform('{"os":"linux","architecture":"s390x"}', "x", image)


@pytest.mark.parametrize("text", ["linux/amd64", "[]", "{}", '{"os":"linux"}', '{"variant":"v8"}'])
def test_no_platform(text: str) -> None:
    with pytest.raises(InvalidParameter):
        check_image_platform(text, "x", builders.image())
