"""Named places between two durable steps, at which a test can kill the process: off unless SEAWAY_FAILPOINTS is set.

The variable names a directory. A file there with a failpoint's name arms it once: the first process that reaches it
removes the file and kills itself with SIGKILL. So a crash matrix tests the same programs that users run.
"""

import os
import signal
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Final

VARIABLE: Final = "SEAWAY_FAILPOINTS"


class Failpoint(StrEnum):
    """The failpoints; each is named after the step before it."""

    VOLUME_MADE = "create.volume-made"
    CREATE_VOLUMES = "create.volumes-made"
    CREATE_UPPER = "create.upper-made"
    VOLUME_COPIED = "create.volume-copied"
    VOLUME_FILLED = "create.volume-filled"
    VOLUME_HALF_MOVED = "create.volume-half-moved"
    VOLUME_MOVED = "create.volume-moved"
    CREATE_RECORDED = "create.recorded"
    CREATE_REGISTERED = "create.registered"
    CREATE_MADE = "create.made"
    CREATE_UPPER_UNDONE = "undo.upper-gone"
    CREATE_VOLUMES_UNDONE = "undo.volumes-gone"
    PLACE_CHOSEN = "place.node-chosen"
    REGISTER_NAMED = "register.name-reserved"
    REGISTER_TAKEN_OVER = "register.name-taken-over"
    REGISTER_REFUSED = "register.refused"
    REGISTER_RECORDED = "register.recorded"
    FORGET_RECORD = "forget.record-gone"
    NETWORK_SUBNETS = "network.subnets-reserved"
    NETWORK_RECORDED = "network.recorded"
    NETWORK_MARKED = "network.marked-removed"
    NETWORK_FREED = "network.subnets-freed"
    VOLUME_RECORDED = "volume.recorded"
    VOLUME_NODE_MADE = "volume.node-has-made"
    VOLUME_REGISTERED = "volume.made-for-container"
    VOLUME_MARKED = "volume.marked-removed"
    VOLUME_NODE_REMOVED = "volume.node-has-removed"
    CONNECT_CLAIMED = "connect.addresses-claimed"
    DISCONNECT_HELD = "disconnect.done-by-node"
    RENAME_NAMED = "rename.name-reserved"
    RENAME_FREED = "rename.old-name-freed"
    JOIN_KEY_MADE = "join.key-made"
    JOIN_ADMITTED = "join.admitted"
    JOIN_LET_IN = "join.let-in"
    ADMIT_TOKEN_USED = "admit.token-used"
    ADMIT_RECORDED = "admit.identity-stored"
    ADMIT_KEYS_WRITTEN = "admit.keys-written"
    REVOKE_TOKEN_BURNED = "revoke.token-burned"
    REVOKE_RECORDED = "revoke.identity-removed"
    USER_STORED = "user.stored"
    USER_KEY_CHANGED = "user.key-changed"
    USER_MARKED = "user.marked-removed"
    USER_STREAM_REMOVED = "user.stream-removed"
    EVENTS_JUDGED = "store.events-judged"
    PROJECT_RECORDED = "project.recorded"
    PROJECT_GONE = "project.record-gone"
    PROJECT_HORIZON = "project.horizon-moved"
    UNPACK_LAYER = "unpack.layer-unpacked"
    UNPACK_PLACED = "unpack.layer-placed"
    UNPACK_INIT = "unpack.init-made"
    NETWORK_NETNS = "network.namespace-made"
    NETWORK_VETH = "network.veth-made"
    NETWORK_ADDRESS = "network.address-set"
    NETWORK_PORTS = "network.ports-published"
    START_CLAIMED = "start.addresses-claimed"
    START_CONNECTED = "start.network-connected"
    START_DIRECTORIES = "start.directories-made"
    START_MOUNTED = "start.rootfs-mounted"
    START_BUNDLED = "start.bundle-written"
    START_SPAWNED = "start.shim-spawned"
    START_CREATED = "start.process-created"
    START_RUNNING = "start.program-running"
    START_RECORDED = "start.recorded"
    START_DISCONNECTED = "start.network-given-back"
    START_FAILED = "start.failure-recorded"
    STOP_SIGNALLED = "stop.signalled"
    DIE_SEEN = "die.seen"
    DIE_RECORDED = "die.recorded"
    DIE_TORN_DOWN = "die.torn-down"
    TEARDOWN_CGROUPS = "teardown.cgroups-gone"
    TEARDOWN_FILES = "teardown.files-gone"
    TEARDOWN_RUN = "teardown.run-gone"
    TEARDOWN_PORTS = "teardown.ports-withdrawn"
    PAUSE_FROZEN = "pause.frozen"
    PAUSE_RECORDED = "pause.recorded"
    UNPAUSE_RECORDED = "unpause.recorded"
    KILL_RECORDED = "kill.recorded"
    RESTART_LAUNCHING = "restart.launching"
    RESTART_RECORDED = "restart.recorded"
    RENAME_RECORDED = "rename.recorded"
    UPDATE_LIMITED = "update.limits-changed"
    UPDATE_RECORDED = "update.recorded"
    NETWORK_MADE = "endpoint.network-made"
    NETWORK_REMOVED = "endpoint.network-removed"
    NETWORK_FORGOTTEN = "endpoint.network-forgotten"
    NETWORKS_RESTORED = "endpoint.networks-restored"
    RESOLVER_ATTACHED = "endpoint.resolver-attached"
    ENDPOINT_PLUGGED = "endpoint.plugged"
    DISCONNECT_BEGUN = "endpoint.disconnect-begun"
    ENDPOINT_UNPLUGGED = "endpoint.unplugged"
    ENDPOINTS_RECORDED = "endpoint.recorded"
    COMMIT_PAUSED = "commit.paused"
    COMMIT_STORED = "commit.image-stored"
    REMOVE_UPPER = "remove.upper-gone"
    VOLUME_GONE = "remove.volume-gone"
    REMOVE_VOLUMES = "remove.volumes-gone"
    REMOVE_RECORDED = "remove.recorded"
    VOLUME_MOUNTED = "start.volume-mounted"
    VOLUME_UNMOUNTED = "teardown.volume-unmounted"
    VOLUME_HELD = "volume.made-by-node"
    VOLUME_FORGOTTEN = "volume.removal-recorded-by-node"
    VOLUME_REMOVED = "volume.removed-by-node"
    EXEC_RECORDED = "exec.recorded"
    EXEC_BEGUN = "exec.start-recorded"
    EXEC_BUNDLED = "exec.bundle-written"
    EXEC_SPAWNED = "exec.shim-spawned"
    EXEC_STARTED = "exec.started"
    EXEC_FAILED = "exec.failure-recorded"
    SUPERVISOR_SPAWNED = "supervisor.runtime-spawned"
    SUPERVISOR_BEGUN = "supervisor.program-begun"
    SUPERVISOR_REFUSED = "supervisor.refusal-written"
    SUPERVISOR_ENDED = "supervisor.end-written"
    EXEC_DIE_SEEN = "exec.die-seen"
    EXEC_DIE_RECORDED = "exec.die-recorded"
    EXEC_TORN_DOWN = "exec.torn-down"
    PULL_BLOB = "pull.blob-stored"
    PULL_CHECKED = "pull.image-checked"
    IMAGE_NAMED = "pull.name-stored"
    PULL_TOLD = "pull.event-kept"
    BUILD_MADE = "build.directory-made"
    BUILD_CONTEXT = "build.context-unpacked"
    BUILD_BUILT = "build.built"
    BUILD_PUSHED = "build.pushed"
    UPLOAD_WRITTEN = "push.blob-written"
    UPLOAD_PLACED = "push.blob-placed"
    PUSH_MANIFEST = "push.manifest-stored"
    PUSH_ENTERED = "push.image-entered"
    EVENT_STORED = "outbox.event-stored"


class Failpoints:
    """The failpoints that files of a directory arm."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def reach(self, point: Failpoint) -> None:
        """Kill this process if the point is armed."""
        try:
            (self._directory / point).unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)


def environment() -> dict[str, str]:
    """The variables for a program with failpoints of its own that does not import this module."""
    return {VARIABLE: os.environ[VARIABLE]} if os.environ.get(VARIABLE) else {}


@cache
def _failpoints() -> Failpoints | None:
    """From the environment when a process reaches its first point: it may be a fork of a process without points."""
    return Failpoints(Path(os.environ[VARIABLE])) if os.environ.get(VARIABLE) else None


def reach(point: Failpoint) -> None:
    """Kill this process if the point is armed; does nothing in production."""
    if (armed := _failpoints()) is not None:
        armed.reach(point)
