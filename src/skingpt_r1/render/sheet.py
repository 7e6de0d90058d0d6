"""Contact sheets: many pictures on one page, a row per condition."""

from collections.abc import Callable, Sequence
from itertools import count

from PIL import Image, ImageDraw

from skingpt_r1.render.case import Plan, draw, plan_case
from skingpt_r1.render.conditions import CONDITIONS

_LABEL_WIDTH = 118


def contact_sheet(
    seed: int,
    *,
    columns: int = 9,
    conditions: Sequence[str] = (),
    size: int = 112,
    column_of: Callable[[Plan], int] | None = None,
) -> Image.Image:
    """A page of pictures with a named row per condition.

    Args:
        seed: seed of the pictures.
        columns: pictures per row.
        conditions: names of the conditions shown; all by default.
        size: side of each picture in pixels.
        column_of: where given, a picture goes to this column (0 .. columns - 1), for example one
            column per skin type; otherwise the first pictures of the seed are shown.
    """
    names = [condition.name for condition in CONDITIONS]
    shown = list(conditions) or names
    page = Image.new("RGB", (_LABEL_WIDTH + columns * (size + 2), len(shown) * (size + 2)), "white")
    pen = ImageDraw.Draw(page)
    for line, name in enumerate(shown):
        top, first = line * (size + 2), names.index(name)
        pen.text((4, top + size // 2 - 6), name, fill="black")
        filled: set[int] = set()
        for number in count():
            plan = plan_case(first + number * len(names), seed)
            column = number if column_of is None else column_of(plan)
            if column not in filled and 0 <= column < columns:
                filled.add(column)
                left = _LABEL_WIDTH + column * (size + 2)
                page.paste(Image.fromarray(draw(plan, size)), (left, top))
            if len(filled) == columns:
                break
    return page
