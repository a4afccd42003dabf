from seaway_docker import errors


def test_sentences_that_clients_match() -> None:
    assert errors.no_such_container("zz") == "No such container: zz"
    assert errors.container_name_conflict("sm", "abc") == (
        'Conflict. The container name "/sm" is already in use by container "abc". '
        "You have to remove (or rename) that container to be able to reuse that name."
    )
    assert errors.cannot_remove("vt", "running") == (
        'cannot remove container "/vt": container is running: stop the container before removing or force remove'
    )
    assert errors.cannot_remove("vt", "paused") == (
        'cannot remove container "/vt": container is paused: '
        "unpause and then stop the container before removing or force remove"
    )
    assert errors.cannot_kill("ab", errors.container_not_running("abc")) == (
        "cannot kill container: ab: container abc is not running"
    )
    assert errors.port_allocated("[::]:80") == "Bind for [::]:80 failed: port is already allocated"
    assert errors.bind_source_missing("/x") == (
        'invalid mount config for type "bind": bind source path does not exist: /x'
    )
