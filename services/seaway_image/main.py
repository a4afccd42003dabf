"""The image service's process."""

from seaway_image.service import image_service
from seaway_image.settings import ImageSettings
from seaway_kit.service import run_service
from seaway_kit.settings import load_settings


def run(settings: ImageSettings) -> int:
    """Run the service until it is told to stop; the exit code."""
    return run_service("image", settings, image_service)


def main() -> None:
    """The `seaway-image` command."""
    raise SystemExit(run(load_settings(ImageSettings, prog="seaway-image")))


if __name__ == "__main__":
    main()
