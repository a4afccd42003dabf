"""Payloads about builds of images: orders, what a node says of a build, events, the cache of builders."""

from typing import Final, Literal

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import Resources
from seaway_contracts.networks import LeasedEndpoint

BUILT: Final = "localhost/seaway-build/"
"""Repositories at the image service into which builds push: what comes there is an image without a name."""
BASES: Final = "localhost/seaway-image/"
"""Repositories at the image service to read images by their ids (`localhost/seaway-image/<64 hex digits>`)."""


class BuildOptions(Payload):
    """What a client asks of a build. `args` that are None stay unset.

    `dockerfile` is a path in the context. `network`: empty for the bridge, `none`, `host`, a container's
    (`container:<id>`), or the id of one of users. `shm_size` in bytes. `remote`: where the context is fetched from, if
    no client sends it.
    """

    dockerfile: str = "Dockerfile"
    target: str = ""
    args: dict[str, str | None] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    no_cache: bool = False
    squash: bool = False
    network: str = ""
    extra_hosts: tuple[str, ...] = ()
    resources: Resources = Field(default_factory=Resources)
    shm_size: int = 0
    remote: str = ""
    platform: str = ""


class StartBuild(Payload):
    """Build an image. The context comes as a tar, compressed or not, over the byte stream `context`.

    The answer is at once. Over the byte stream `stream` the node sends a `BuildRecord` a line: first the plan, then,
    once the caller has sent `BuildGo` and ended its side, what happens, at last the image's id. A break of that stream
    ends the build. `name`: the id that the client has given the build, if any. `context` is empty where
    `options.remote` names it. `joins`: the steps' endpoint, where `options.network` is one of users.
    """

    id: str
    context: str
    stream: str
    name: str = ""
    options: BuildOptions = Field(default_factory=BuildOptions)
    joins: LeasedEndpoint | None = None


class BuildStep(Payload):
    """An instruction of the Dockerfile. `stage`: its number, -1 before the first FROM; `text` as Docker prints it."""

    stage: int
    text: str


class BuildPlan(Payload):
    """What a node has read in the Dockerfile: its steps, and the images that it needs from outside, as written there.

    `froms`: what each stage begins with. `target`: the number of the last stage. `unused`: build arguments that no ARG
    names. `gaps`: instructions with empty lines inside. `refused`: why a step can't be carried out; nothing is built.
    """

    steps: tuple[BuildStep, ...] = ()
    stages: int = 0
    target: int = 0
    froms: tuple[str, ...] = ()
    bases: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    refused: str = ""


class BuildBase(Payload):
    """An image that a Dockerfile names. `source`: its name at the image service, with domain, and tag or digest."""

    name: str
    source: str
    id: str = ""


class BuildGo(Payload):
    """Where a node gets the bases and puts the result: at `url`, with `token` as password, as `repository`."""

    url: str
    token: str
    repository: str
    bases: tuple[BuildBase, ...] = ()


RecordKind = Literal["plan", "line", "note", "run", "out", "err", "refused", "end"]


class BuildRecord(Payload):
    """One line about a build.

    `plan`: the plan. `line`: what the builder printed. `note`: what it printed on stderr. `run`: a RUN step begins,
    with `args`, in the container `text`. `out` and `err`: what it prints. `refused`: why the runtime did not begin it.
    `end`: the builder has ended, with `code`; then `text` is the id of the image, which the image service has.
    """

    kind: RecordKind
    text: str = ""
    code: int = 0
    args: tuple[str, ...] = ()
    plan: BuildPlan | None = None


class CancelBuild(Payload):
    """Stop the build of that id, or with that name, if it runs here."""

    id: str


class CancelledBuild(Payload):
    """Whether there was such a build."""

    found: bool = False


class BuildEvent(Payload):
    """A build's event. Its attributes: `outcome` (`built`, `failed`, `stopped`) and `image` at its end."""

    attributes: dict[str, str] = Field(default_factory=dict)


class CachedStep(Payload):
    """One entry of a node's build cache. `kind` as Docker names it.

    `regular` is an image of a step, with `size` in bytes of what only this step added; `exec.cachemount` a directory
    that steps keep.
    """

    id: str
    kind: str = "regular"
    parent: str = ""
    description: str = ""
    created_ns: int = 0
    used_ns: int = 0
    size: int = 0
    uses: int = 0
    in_use: bool = False


class ListBuildCache(Payload):
    """Ask a node for its build cache."""


class BuildCache(Payload):
    """A node's build cache, the latest entries first; `left_out` more are not listed."""

    steps: tuple[CachedStep, ...] = ()
    left_out: int = 0


class PruneBuildCache(Payload):
    """Remove entries that no build uses: all, those of `ids`, or the oldest until `keep_bytes` are left.

    `before_ns`: only those that were last used before.
    """

    ids: tuple[str, ...] | None = None
    keep_bytes: int = 0
    before_ns: int = 0


class PrunedBuildCache(Payload):
    """The ids of the removed entries, and the bytes that were freed."""

    ids: tuple[str, ...] = ()
    reclaimed: int = 0
