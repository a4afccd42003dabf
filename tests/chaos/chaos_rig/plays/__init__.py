"""What is asked for while a process dies at a failpoint, and what must be so afterwards."""

from collections.abc import Callable
from functools import partial

from chaos_rig.plays import (
    executing,
    imaging,
    joining,
    logins,
    making,
    making_images,
    networking,
    pushing,
    running,
    users,
    volumes,
)
from chaos_rig.scene import Scene
from seaway_kit.failpoints import Failpoint

Play = Callable[[Scene], None]
_SCENES: dict[str, Play] = {
    "create": making.create,
    "place": making.create,
    "register": making.create,
    "project": making.create,
    "unpack": making.unpack,
    "volume": volumes.create,
    "forget": making.forget,
    "network": running.start,
    "connect": networking.connect,
    "endpoint": networking.connect,
    "disconnect": networking.disconnect,
    "start": running.start,
    "teardown": running.start,
    "die": running.start,
    "stop": running.stop,
    "kill": running.kill,
    "restart": running.restart,
    "pause": running.pause,
    "unpause": running.unpause,
    "rename": running.rename,
    "update": running.update,
    "commit": imaging.commit,
    "remove": running.remove,
    "pull": imaging.pull,
    "push": pushing.push,
    "build": making_images.build,
    "join": joining.join,
    "admit": joining.join,
    "revoke": joining.leave,
    "user": users.create,
    "store": running.hand_over,
    "outbox": running.hand_over,
    "exec": executing.execute,
    "supervisor": partial(executing.execute, attached=True),
}
_PARTICULAR: dict[Failpoint, Play] = {
    Failpoint.CREATE_REGISTERED: making.register,
    Failpoint.VOLUME_FILLED: making.fill,
    Failpoint.VOLUME_HALF_MOVED: making.fill,
    Failpoint.VOLUME_MOVED: making.fill,
    Failpoint.VOLUME_REGISTERED: volumes.first_use,
    Failpoint.VOLUME_MARKED: volumes.remove,
    Failpoint.VOLUME_NODE_REMOVED: volumes.remove,
    Failpoint.VOLUME_FORGOTTEN: volumes.remove,
    Failpoint.VOLUME_REMOVED: volumes.remove,
    Failpoint.VOLUME_MOUNTED: volumes.mounted,
    Failpoint.VOLUME_UNMOUNTED: volumes.mounted,
    Failpoint.REGISTER_TAKEN_OVER: making.take_over,
    Failpoint.PROJECT_GONE: running.remove,
    Failpoint.NETWORKS_RESTORED: networking.restore,
    Failpoint.NETWORK_REMOVED: networking.remove,
    Failpoint.DISCONNECT_BEGUN: networking.disconnect,
    Failpoint.ENDPOINT_UNPLUGGED: networking.disconnect,
    Failpoint.START_CLAIMED: networking.claim,
    Failpoint.NETWORK_SUBNETS: networking.create,
    Failpoint.NETWORK_RECORDED: networking.create,
    Failpoint.NETWORK_MARKED: networking.remove,
    Failpoint.NETWORK_FREED: networking.remove,
    Failpoint.NETWORK_MADE: networking.connect,
    Failpoint.NETWORK_REMOVED: networking.remove,
    Failpoint.NETWORK_FORGOTTEN: networking.remove,
    Failpoint.NETWORKS_RESTORED: networking.restore,
    Failpoint.RESOLVER_ATTACHED: networking.connect,
    Failpoint.ENDPOINT_PLUGGED: networking.connect,
    Failpoint.DISCONNECT_BEGUN: networking.disconnect,
    Failpoint.ENDPOINT_UNPLUGGED: networking.disconnect,
    Failpoint.USER_KEY_CHANGED: users.rotate,
    Failpoint.USER_MARKED: users.remove,
    Failpoint.USER_STREAM_REMOVED: users.remove,
    Failpoint.ENDPOINTS_RECORDED: networking.connect,
}


LOGINS: dict[Failpoint, Play] = {
    Failpoint.USER_STORED: logins.create,
    Failpoint.USER_KEY_CHANGED: logins.rotate,
    Failpoint.USER_MARKED: logins.remove,
    Failpoint.USER_STREAM_REMOVED: logins.remove,
}
"""The steps of users, for logins at the registry."""


def play_of(point: Failpoint) -> Play:
    """That in which a failpoint is passed."""
    return _PARTICULAR.get(point) or _SCENES[point.partition(".")[0]]
