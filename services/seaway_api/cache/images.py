"""The list of images, kept: of a thousand images, only those that have changed are read anew."""

import asyncio

from seaway_api.translate.image_catalogue import CachedImage, ImageCatalogue
from seaway_bus.bus import Bus
from seaway_contracts import catalogue as cat
from seaway_contracts.images import ImageList, ListImages


class ImageCache:
    """The images as the image service last listed them."""

    def __init__(self) -> None:
        self.known = ImageCatalogue(())
        """The last list, however old it is."""
        self._version = ""
        self._reading = asyncio.Lock()
        self._begun = self._ended = 0

    async def current(self, bus: Bus) -> ImageCatalogue:
        """The images as they are now. Raises SeawayError where the image service doesn't answer."""
        begun = self._begun
        async with self._reading:
            if self._ended <= begun:  # else another one has begun, and ended, a reading while this one waited
                self._begun = reading = self._begun + 1
                await self._read(bus)
                self._ended = reading
            return self.known

    async def _read(self, bus: Bus) -> None:
        page = await bus.call(cat.LIST_IMAGES, ListImages(since=self._version))
        if page.partial:
            self._change(page)
            return
        version, images = page.version, list(page.images)
        while page.next:
            page = await bus.call(cat.LIST_IMAGES, ListImages(after=page.next))
            images += page.images
        self.known = ImageCatalogue(CachedImage(image) for image in {image.id: image for image in images}.values())
        self._version = version

    def _change(self, page: ImageList) -> None:
        self._version = page.version
        if page.images or page.gone:
            changed = {image.id: CachedImage(image) for image in page.images}
            kept = {identifier: one for identifier, one in self.known.by_id.items() if identifier not in page.gone}
            self.known = ImageCatalogue((kept | changed).values())
