"""What a change of the image table tells the cluster: kept in the table itself until the next change. Pure."""

from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict

from seaway_image.oci.digests import Digest


class Cause(NamedTuple):
    """The command by whose id something is done, and who asked."""

    command: str = ""
    actor: str = ""


NOBODY: Final = Cause()


class ImageChange(BaseModel):
    """What happened to an image: `action` in Docker's words, `ref` the name that it was about.

    `name` is Docker's actor attribute. `id` and `time_ns` (Unix) are given when it has happened.
    """

    model_config = ConfigDict(frozen=True)

    action: str
    image: Digest
    ref: str = ""
    name: str = ""
    cause: str = ""
    actor: str = ""
    id: str = ""
    time_ns: int = 0


def image_change(action: str, image: Digest, ref: str = "", by: Cause = NOBODY, *, name: str = "") -> ImageChange:
    """Of something that is about to happen. `name` is by default what else it is called."""
    return ImageChange(action=action, image=image, ref=ref, name=name or ref or image, cause=by.command, actor=by.actor)
