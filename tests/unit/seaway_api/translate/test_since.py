"""What each version of the API shows."""

from typing import Any

import pytest

from seaway_api.translate.images import image_json
from seaway_api.translate.info import Cluster, info_json
from seaway_api.translate.since import check_image_platform, image_shown, info_shown
from seaway_api.translate.version import ApiVersion
from seaway_contracts.errors import SeawayError
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
    with pytest.raises(SeawayError, match=r"image with reference x was found but does not provide .* \(linux/s390x\)"):
        check_image_platform('{"os":"linux","architecture":"s390x"}', "x", image)


@pytest.mark.parametrize("text", ["linux/amd64", "[]", "{}", '{"os":"linux"}'])
def test_no_platform(text: str) -> None:
    with pytest.raises(InvalidParameter):
        check_image_platform(text, "x", builders.image())
