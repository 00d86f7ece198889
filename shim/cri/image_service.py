"""ImageService: each RPC is a message in, a call of the engine, a message out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from runtimes.request import ImageSpec
from shim.cri import lists
from shim.cri.pb.runtime.v1 import api_pb2 as pb
from shim.cri.translate import reader, writer

if TYPE_CHECKING:
    from shim.engine.engine import Engine

_image_spec = reader(pb.ImageSpec, ImageSpec)
_image = writer(pb.Image)
_image_status = writer(pb.ImageStatusResponse)
_fs_info = writer(pb.ImageFsInfoResponse)


class ImageService:
    """The servicer of either API version on an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list_images(self, request: pb.ListImagesRequest) -> bytes:
        """List images."""
        return lists.whole(self._images(request), kind="images", stream="StreamImages")

    def stream_images(self, request: pb.StreamImagesRequest) -> Iterator[bytes]:
        """List images in batches."""
        return lists.batches(self._images(request))

    def image_status(self, request: pb.ImageStatusRequest) -> pb.ImageStatusResponse:
        """Describe one image."""
        return _image_status(self._engine.image_status(_spec(request), request.verbose))

    def pull_image(self, request: pb.PullImageRequest) -> pb.PullImageResponse:
        """Have an image. No registry is asked, so nobody looks at the credentials."""
        return pb.PullImageResponse(image_ref=self._engine.pull_image(_spec(request)))

    def remove_image(self, request: pb.RemoveImageRequest) -> pb.RemoveImageResponse:
        """Remove an image."""
        self._engine.remove_image(_spec(request))
        return pb.RemoveImageResponse()

    def image_fs_info(self, request: pb.ImageFsInfoRequest) -> pb.ImageFsInfoResponse:
        """Tell how full the image store is."""
        del request
        return _fs_info(self._engine.fs_info())

    def _images(self, request: pb.ListImagesRequest | pb.StreamImagesRequest) -> Iterator[bytes]:
        condition = _spec(request.filter) if request.HasField("filter") else None
        return (lists.chunk(_image(each)) for each in self._engine.images(condition))


def _spec(message: Any) -> ImageSpec | None:
    """Return the image that a message names, None where it names none."""
    return _image_spec(message.image) if message.HasField("image") else None
