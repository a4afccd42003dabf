"""Dockerfiles that mean harm: each is refused, or read within bounds; nothing of the node's disk is a base."""

import pytest
from hypothesis import HealthCheck, given, settings
from tests.hostile.builds import DOCKERFILES, NOT_BUILT

from seaway_docker.dockerfile_stages import check_source, outline, resolved
from seaway_docker.errors import InvalidParameter

_PLATFORM = {"TARGETPLATFORM": "linux/amd64"}


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(DOCKERFILES)
def test_any_dockerfile_is_read_or_refused(text: str) -> None:
    try:
        found = outline(text, {"A": "b"}, platform=_PLATFORM)
    except InvalidParameter as error:
        assert len(str(error)) < 1000
        return
    for base in found.bases:
        check_source(base)
    if not found.refused:
        assert len(resolved(text, found)) < 2 * len(text) + 1000


@pytest.mark.parametrize("number", NOT_BUILT)
def test_known_forms_end_in_bounds(number: int) -> None:
    try:
        found = outline(NOT_BUILT[number], {}, platform=_PLATFORM)
    except InvalidParameter as error:
        assert len(str(error)) < 1000
        return
    for base in found.bases:
        check_source(base)
