"""Views of a picture: the eight flips and turns of a square.

Skin has no up and no left, so that a turned picture shows the same findings. Our choice; the paper
names no augmentation.
"""

from dataclasses import replace

from PIL import Image

from skingpt_r1.model.prompt import Request

_TURNS = Image.Transpose
# The first few change a picture most without changing its sides.
_VIEWS: tuple[Image.Transpose | None, ...] = (
    None, _TURNS.FLIP_LEFT_RIGHT, _TURNS.FLIP_TOP_BOTTOM, _TURNS.ROTATE_180,
    _TURNS.TRANSPOSE, _TURNS.TRANSVERSE, _TURNS.ROTATE_90, _TURNS.ROTATE_270,
)  # fmt: skip
MOST_VIEWS = len(_VIEWS)


def turn(image: Image.Image, view: int) -> Image.Image:
    """The picture in one of the `MOST_VIEWS` views; 0 is the picture as it is."""
    how = _VIEWS[view]
    return image if how is None else image.transpose(how)


def turn_request(request: Request, view: int) -> Request:
    """The same request with its pictures in another view."""
    if view == 0:
        return request
    pictures = tuple(turn(picture, view) for picture in request.open())
    return replace(request, images=pictures)
