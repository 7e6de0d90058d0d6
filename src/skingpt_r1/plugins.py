"""Parts that other packages bring: readers, judges, teachers, encoders, backbone families.

A package names them in its `pyproject.toml`, for example:

    [project.entry-points."skingpt_r1.teachers"]
    my-encoder = "my_package:embed_pictures"

docs/extending.md says what the named object of each group must be.
"""

from collections.abc import Container
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from skingpt_r1.errors import SkinGPTError

PREFIX = "skingpt_r1."


def load_plugins(
    group: str, wanted: str, kind: Any = object, taken: Container[str] = ()
) -> dict[str, Any]:
    """The sound objects of `skingpt_r1.<group>` by name; other broken ones are passed over.

    Raises:
        SkinGPTError: the wanted one is broken; see `find_plugins`.
    """
    found, broken = find_plugins(group, kind, taken)
    if wanted in broken:
        raise SkinGPTError(broken[wanted])
    return found


def find_plugins(
    group: str, kind: Any = object, taken: Container[str] = ()
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


def _load(entry: EntryPoint, kind: Any) -> Any:
    try:
        loaded = entry.load()
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SkinGPTError(f"{type(error).__name__}: {reason:.300}") from error
    if not isinstance(loaded, kind):
        raise SkinGPTError(f"it is a {type(loaded).__name__}, not a {kind.__name__}")
    return loaded
