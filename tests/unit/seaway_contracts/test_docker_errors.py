"""Docker's refusals, as clients and handlers know them."""

import pytest

from seaway_contracts import docker_errors as d
from seaway_contracts.errors import Reason, SeawayError


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (d.no_such_container("zz"), 404, "No such container: zz"),
        (
            d.container_name_conflict("sm", "abc"),
            409,
            'Conflict. The container name "/sm" is already in use by container "abc". '
            "You have to remove (or rename) that container to be able to reuse that name.",
        ),
        (
            d.cannot_remove("vt", "running"),
            409,
            'cannot remove container "/vt": container is running: stop the container before removing or force remove',
        ),
        (
            d.cannot_remove("vt", "paused"),
            409,
            'cannot remove container "/vt": container is paused and must be unpaused first',
        ),
        (
            d.cannot_kill("ab", d.container_not_running("abc")),
            409,
            "cannot kill container: ab: container abc is not running",
        ),
        (d.cannot_kill("zz", d.no_such_container("zz")), 404, "cannot kill container: zz: No such container: zz"),
        (d.container_not_paused("abc"), 500, "Container abc is not paused"),
        (d.network_not_removable("bridge"), 403, "bridge is a pre-defined network and cannot be removed"),
        (d.no_such_network("zz"), 404, "network zz not found"),
        (d.no_such_path("/x", "box"), 404, "Could not find the file /x in container box"),
        (
            d.bind_source_missing("/x"),
            400,
            'invalid mount config for type "bind": bind source path does not exist: /x',
        ),
    ],
)
def test_sentences_that_clients_match(error: SeawayError, status: int, sentence: str) -> None:
    assert (error.status, error.message) == (status, sentence)


def test_reasons_that_handlers_act_on() -> None:
    assert d.cannot_kill("ab", d.container_not_running("abc")).reason is Reason.NOT_RUNNING
    assert d.exec_in_paused_container("abc").reason is Reason.PAUSED
    assert d.no_such_path("/x", "box").reason is Reason.NO_SUCH_FILE
