"""Parts that other packages bring: readers, judges, teachers, encoders, backbone families.

A package names them in its `pyproject.toml`, for example:

    [project.entry-points."skingpt_r1.teachers"]
    my-encoder = "my_package:embed_pictures"

The docs of each group say what the named object must be.
"""

from importlib.metadata import entry_points
from typing import Any

from skingpt_r1.errors import SkinGPTError

PREFIX = "skingpt_r1."


def load_plugins(group: str) -> dict[str, Any]:
    """Name to object for every entry point of `skingpt_r1.<group>`.

    Raises:
        SkinGPTError: one cannot be imported, or two packages use one name.
    """
    found: dict[str, Any] = {}
    for entry in entry_points(group=PREFIX + group):
        package = entry.dist.name if entry.dist else "an unnamed package"
        if entry.name in found:
            raise SkinGPTError(
                f"two packages bring {entry.name!r} in {PREFIX}{group}, {package} is one of them; "
                "uninstall one"
            )
        try:
            found[entry.name] = entry.load()
        except Exception as error:
            reason = " ".join(str(error).split())
            raise SkinGPTError(
                f"the plug-in {entry.name!r} of {package} ({PREFIX}{group}, {entry.value}) cannot "
                f"be loaded: {type(error).__name__}: {reason:.300}; repair or uninstall {package}"
            ) from error
    return found
