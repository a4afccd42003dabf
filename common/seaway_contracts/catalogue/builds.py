"""Builds of images, by the builder of a node."""

from typing import Final

from seaway_contracts import builds as b
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import AGENT, call, event, look
from seaway_contracts.channels import EventChannel, Repeat


def _event(action: str, about: str) -> EventChannel[b.BuildEvent]:
    return event("build", action, b.BuildEvent, about, lossy=True)


BUILD_START: Final = _event("start", "A build of an image began.")
BUILD_END: Final = _event("end", "A build of an image ended, with `outcome`.")

START_BUILD: Final = call(
    AGENT, "build.start", b.StartBuild, Empty, "Build an image; all else comes over byte streams.", repeat=Repeat.NEVER
)
CANCEL_BUILD: Final = call(
    AGENT, "build.cancel", b.CancelBuild, b.CancelledBuild, "Stop a build.", repeat=Repeat.UNANSWERED
)
BUILD_CACHE: Final = look("build.cache", b.ListBuildCache, b.BuildCache, "Return the node's build cache.", timeout_s=30)
PRUNE_BUILD_CACHE: Final = call(
    AGENT,
    "build.prune",
    b.PruneBuildCache,
    b.PrunedBuildCache,
    "Remove entries of the node's build cache.",
    timeout_s=120,
    repeat=Repeat.UNANSWERED,
)
