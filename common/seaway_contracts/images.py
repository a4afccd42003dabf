"""Images as the services know them: layers and configuration."""

from pydantic import Field

from seaway_contracts.base import Payload


class Healthcheck(Payload):
    """A health probe. `test` is Docker's list (`CMD`, `CMD-SHELL`, `NONE` first); times in nanoseconds, 0 inherits."""

    test: tuple[str, ...] = ()
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


class FormerContainer(Payload):
    """What an image's config still says of the container that it was made of. Nothing depends on it."""

    hostname: str = ""
    domainname: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    image: str = ""


class ImageConfig(Payload):
    """The runnable part of an OCI image config (OCI image spec, config.md)."""

    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str = ""
    user: str = ""
    labels: dict[str, str] = Field(default_factory=dict)
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str = ""
    shell: tuple[str, ...] | None = None
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    args_escaped: bool = False
    former: FormerContainer | None = None


class Layer(Payload):
    """One filesystem layer: the blob to fetch and the tar that comes out.

    `size` in bytes of the blob, `diff_size` of the files in it, where that is known.
    """

    digest: str
    size: int
    media_type: str
    diff_id: str
    diff_size: int | None = None


class History(Payload):
    """One step of an image's history."""

    created_ns: int = 0
    created_by: str = ""
    comment: str = ""
    author: str = ""
    empty_layer: bool = False


class ImageRecord(Payload):
    """An image in the store. `id` is the config's digest; sizes in bytes; times in Unix nanoseconds.

    `parent`: the id of the image that it was made of, which may be gone.
    """

    id: str
    repo_tags: tuple[str, ...] = ()
    repo_digests: tuple[str, ...] = ()
    created_ns: int = 0
    size: int = 0
    architecture: str = "amd64"
    os: str = "linux"
    variant: str = ""
    author: str = ""
    comment: str = ""
    config: ImageConfig = Field(default_factory=ImageConfig)
    layers: tuple[Layer, ...] = ()
    history: tuple[History, ...] = ()
    last_tag_ns: int = 0
    parent: str = ""
    docker_version: str = ""


class RegistryAuth(Payload):
    """Credentials for one registry, as Docker clients send them in `X-Registry-Auth`."""

    username: str = ""
    password: str = ""
    auth: str = ""
    server_address: str = ""
    identity_token: str = ""
    registry_token: str = ""


class RegistryLogin(Payload):
    """Ask whether the registry at `auth.server_address` (empty: Docker Hub) accepts these credentials."""

    auth: RegistryAuth


class LoggedIn(Payload):
    """The registry accepts them. `identity_token`: to be used in place of the password, where it gives one."""

    identity_token: str = ""


class Registries(Payload):
    """How to reach registries: mirrors of Docker Hub, and registries without good TLS (host, host:port or CIDR).

    `mirrors_of_others`: those of other registries, by their names. The proxies' URLs have no credentials.
    """

    mirrors: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    mirrors_of_others: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""


class ImageRef(Payload):
    """An image as a user names it: reference, id or prefix of an id."""

    ref: str


class PullRequest(Payload):
    """Pull `ref`; progress goes as JSON lines over the byte stream `stream`."""

    ref: str
    stream: str
    platform: str = ""
    auth: RegistryAuth | None = None
    all_tags: bool = False
    """Every tag of the repository, where `ref` has neither tag nor digest."""


class PullStarted(Payload):
    """The pull runs; the end of its stream reports the outcome."""


class PushRequest(Payload):
    """Push `ref`, all tags of the repository where it has none; progress goes as JSON lines over `stream`."""

    ref: str
    stream: str
    auth: RegistryAuth | None = None


class PushStarted(Payload):
    """The push runs; the end of its stream reports the outcome."""


class SearchRequest(Payload):
    """Search a registry for `term`, which may begin with the registry's host; at most `limit` results."""

    term: str
    limit: int = 25
    auth: RegistryAuth | None = None


class FoundRepository(Payload):
    """One result of a search."""

    name: str
    description: str = ""
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class FoundRepositories(Payload):
    """The results of a search, in the registry's order."""

    results: tuple[FoundRepository, ...] = ()


class RemoteImageRequest(Payload):
    """Ask a registry what `ref` is there."""

    ref: str
    auth: RegistryAuth | None = None


class RemotePlatform(Payload):
    """A platform for which an image is made."""

    os: str
    architecture: str
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()


class RemoteImage(Payload):
    """An image in a registry: its manifest or index, and the platforms. `size` in bytes, of that document."""

    media_type: str
    digest: str
    size: int
    annotations: dict[str, str] = Field(default_factory=dict)
    platforms: tuple[RemotePlatform, ...] = ()


class TagRequest(Payload):
    """Add the name `target` to the image `source`."""

    source: str
    target: str


class ImageInUse(Payload):
    """A container that uses an image. `running` decides the wording of the conflict, as in Docker."""

    image_id: str
    container_id: str
    running: bool


class RemoveImage(Payload):
    """Untag `ref`, and delete the image with its last name. `in_use` lists the containers that hold images."""

    ref: str
    force: bool = False
    prune: bool = True
    in_use: tuple[ImageInUse, ...] = ()


class RemovedImage(Payload):
    """One line of Docker's answer: a name taken away, or an image or layer deleted."""

    untagged: str = ""
    deleted: str = ""


class RemovedImages(Payload):
    """The changes of a removal, in order. `reclaimed`: bytes of the layers that no image needs any longer."""

    items: tuple[RemovedImage, ...] = ()
    reclaimed: int = 0


class PruneImages(Payload):
    """Take the names of these images away, and delete them. What stands in the way of one keeps it."""

    ids: tuple[str, ...]
    in_use: tuple[ImageInUse, ...] = ()


class ImageList(Payload):
    """Images, newest first; `next` continues the listing unless it is empty.

    `version` names the state of the list. `partial`: these are the images that have changed since the version that
    was asked about, and `gone` those that were deleted.
    """

    images: tuple[ImageRecord, ...] = ()
    next: str = ""
    version: str = ""
    partial: bool = False
    gone: tuple[str, ...] = ()


class ListImages(Payload):
    """Page through all images: pass the `next` of the page before.

    `since`: the `version` of a list that the caller has, who then needs the changes alone, if the service knows them.
    """

    after: str = ""
    since: str = ""


class BlobEndpoint(Payload):
    """Where blobs are served (OCI distribution `/v2/`) and image archives are taken: base URL and bearer token."""

    url: str
    token: str


class GrantBuild(Payload):
    """Allow a build on that node to read all images and to push to `repository` (as `docker tag` names it)."""

    node: str
    repository: str


class RevokeBuild(Payload):
    """Take a build's token away."""

    token: str


class ImageEvent(Payload):
    """An image event's body: Docker's actor attributes."""

    image_id: str
    ref: str = ""
    attributes: dict[str, str] = Field(default_factory=dict)
