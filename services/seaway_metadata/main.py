"""The entry point of `seaway-metadata`."""

import os
from collections.abc import Sequence

from seaway_kit.service import run_service
from seaway_kit.settings import load_settings
from seaway_metadata.service import metadata_service
from seaway_metadata.settings import MetadataSettings


def run(settings: MetadataSettings) -> int:
    """Run the service with settings that are already read; its exit code."""
    os.umask(0o077)  # what the service keeps is for its own user only
    return run_service("metadata", settings, lambda context: metadata_service(context, settings))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the service; its exit code."""
    return run(load_settings(MetadataSettings, argv, prog="seaway-metadata"))


if __name__ == "__main__":
    raise SystemExit(main())
