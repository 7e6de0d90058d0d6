"""Parts that other packages bring: readers, judges, teachers, encoders, backbone families.

A package names them in its `pyproject.toml`, for example:

    [project.entry-points."skingpt_r1.teachers"]
    my-encoder = "my_package:embed_pictures"

The docs of each group say what the named object must be.
"""

from collections.abc import Container
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from skingpt_r1.errors import SkinGPTError

PREFIX = "skingpt_r1."


def load_plugins(group: str) -> dict[str, Any]:
    """Name to object for every entry point of `skingpt_r1.<group>`.

    Raises:
        SkinGPTError: one cannot be imported, or two packages use one name.
    """
    found, broken = find_plugins(group)
    for problem in broken.values():
        raise SkinGPTError(problem)
    return found


def find_plugins(
    group: str, kind: type = object, taken: Container[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """The sound objects of `skingpt_r1.<group>` by name, and one line on each that is not.

    Sound is an object of that kind whose name is not taken and that no other package has.
    """
    found: dict[str, Any] = {}
    broken: dict[str, str] = {}
    for entry in entry_points(group=PREFIX + group):
        name, package = entry.name, entry.dist.name if entry.dist else "an unnamed package"
        if name in found or name in broken:
            found.pop(name, None)
            broken[name] = (
                f"two packages bring {name!r} in {PREFIX}{group}, {package} is one of them; "
                "uninstall one"
            )
            continue
        try:
            if name in taken:
                raise SkinGPTError("its name is taken")
            found[name] = _load(entry, kind)
        except SkinGPTError as error:
            broken[name] = (
                f"the plug-in {name!r} of {package} ({PREFIX}{group}, {entry.value}) cannot be "
                f"loaded: {error}; repair or uninstall {package}"
            )
    return found, broken


def _load(entry: EntryPoint, kind: type) -> Any:
    try:
        loaded = entry.load()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SkinGPTError(f"{type(error).__name__}: {reason:.300}") from error
    if not isinstance(loaded, kind):
        raise SkinGPTError(f"it is a {type(loaded).__name__}, not a {kind.__name__}")
    return loaded
