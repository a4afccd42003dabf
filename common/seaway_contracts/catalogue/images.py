"""Images, registries and blobs."""

from typing import Final

from seaway_contracts import archives as a
from seaway_contracts import images as i
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import AGENT, IMAGE, ask, call, event, message, query
from seaway_contracts.channels import ALL_NODES, DO, EventChannel, Repeat


def _event(action: str, about: str) -> EventChannel[i.ImageEvent]:
    return event("image", action, i.ImageEvent, about, owner=IMAGE, lossy=True)


IMAGE_PULL: Final = _event("pull", "An image was pulled.")
IMAGE_PUSH: Final = _event("push", "An image was pushed.")
IMAGE_TAG: Final = _event("tag", "An image got a further name.")
IMAGE_UNTAG: Final = _event("untag", "A name was removed from an image.")
IMAGE_DELETE: Final = _event("delete", "An image was deleted.")
IMAGE_LOAD: Final = _event("load", "An image was loaded from an archive.")
IMAGE_IMPORT: Final = _event("import", "An image was made from a root filesystem.")
IMAGE_SAVE: Final = _event("save", "An image is being written into an archive.")

GET_IMAGE: Final = query(IMAGE, "image.get", i.ImageRef, i.ImageRecord, "Return one image, by name, id or prefix.")
LIST_IMAGES: Final = query(IMAGE, "image.list", i.ListImages, i.ImageList, "List all images, by page.")
PULL_IMAGE: Final = call(IMAGE, "image.pull", i.PullRequest, i.PullStarted, "Start a pull; progress is a byte stream.")
PUSH_IMAGE: Final = call(IMAGE, "image.push", i.PushRequest, i.PushStarted, "Start a push; progress is a byte stream.")
TAG_IMAGE: Final = call(
    IMAGE, "image.tag", i.TagRequest, Empty, "Give an image a further name.", repeat=Repeat.UNANSWERED
)
REMOVE_IMAGE: Final = call(
    IMAGE,
    "image.remove",
    i.RemoveImage,
    i.RemovedImages,
    "Remove a name; delete the image when it has no name left.",
    timeout_s=30,
    repeat=Repeat.UNANSWERED,
)
PRUNE_IMAGES: Final = call(
    IMAGE,
    "image.prune",
    i.PruneImages,
    i.RemovedImages,
    "Delete many images with their names, all but those that something needs.",
    timeout_s=60,
    repeat=Repeat.UNANSWERED,
)
LOGIN: Final = call(
    IMAGE, "registry.login", i.RegistryLogin, i.LoggedIn, "Check credentials with a registry.", timeout_s=60
)
SEARCH_REGISTRY: Final = call(
    IMAGE,
    "registry.search",
    i.SearchRequest,
    i.FoundRepositories,
    "Search a registry for repositories.",
    timeout_s=60,
    repeat=Repeat.UNANSWERED,
)
REMOTE_IMAGE: Final = call(
    IMAGE,
    "registry.image",
    i.RemoteImageRequest,
    i.RemoteImage,
    "Return what a registry says of an image.",
    timeout_s=60,
    repeat=Repeat.UNANSWERED,
)
REGISTRIES: Final = query(IMAGE, "registry.list", Empty, i.Registries, "Return the settings for registries.")
BLOB_ENDPOINT: Final = query(IMAGE, "blob.locate", Empty, i.BlobEndpoint, "Return the endpoint that serves blobs.")

GRANT_COMMIT: Final = call(
    IMAGE,
    "commit.grant",
    a.GrantCommit,
    i.BlobEndpoint,
    "Allow a node to upload one layer, for one image.",
    repeat=Repeat.UNANSWERED,
)
GRANT_BUILD: Final = call(
    IMAGE,
    "build.grant",
    i.GrantBuild,
    i.BlobEndpoint,
    "Allow a build to read all images and to push to one repository.",
    repeat=Repeat.UNANSWERED,
)
REVOKE_BUILD: Final = call(
    IMAGE, "build.revoke", i.RevokeBuild, Empty, "Take a build's token away.", repeat=Repeat.UNANSWERED
)

NODE_BLOB_ENDPOINT: Final = ask(IMAGE, "blob.locate", Empty, i.BlobEndpoint, "Return the endpoint that serves blobs.")
NODE_IMAGES: Final = ask(IMAGE, "image.list", i.ListImages, i.ImageList, "List all images, by page.")
IMAGES_DELETED: Final = message(
    "images.deleted",
    DO.format(node=ALL_NODES) + ".image.deleted",
    Empty,
    "An image was deleted: nodes may drop layers that nothing uses.",
    owner=IMAGE,
    hearers=(AGENT,),
)
