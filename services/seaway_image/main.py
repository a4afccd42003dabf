"""The entry point of `seaway-image`."""

import os
from collections.abc import Sequence

from seaway_image.service import image_service
from seaway_image.settings import ImageSettings
from seaway_kit.service import run_service
from seaway_kit.settings import load_settings


def run(settings: ImageSettings) -> int:
    """Run the service with settings that are already read; its exit code."""
    os.umask(0o077)  # what the service keeps is for its own user only
    return run_service("image", settings, image_service)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; its exit code."""
    return run(load_settings(ImageSettings, argv, prog="seaway-image"))


if __name__ == "__main__":
    raise SystemExit(main())
