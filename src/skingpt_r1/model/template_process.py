"""Renders one chat template in a process of its own, in which a hostile one can do no harm.

Run by path, without this package: reads a JSON object `{"template", "variables", "seconds",
"memory", "characters"}` from standard input and writes the text to standard output. Whatever goes
wrong ends it with another exit code and the reason in the last line of standard error.
"""

import json
import sys
from datetime import datetime
from typing import Any

import jinja2
import jinja2.debug
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what an assistant says; here it changes nothing."""

    tags = {"generation"}  # noqa: RUF012 - the library's own form

    def parse(self, parser: Any) -> Any:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _limit(seconds: int, memory: int) -> None:
    """Bound time and memory, and let no file, socket or process be opened any more."""
    try:
        import resource
    except ImportError:  # no such limits on this system: the caller's clock is all there is
        return
    limits = {
        resource.RLIMIT_CPU: seconds,
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 3,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def _to_json(value: object, ensure_ascii: bool = False, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def render(template: str, variables: dict[str, Any]) -> str:
    """The template's text, with the filters and functions that chat templates may use."""
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _refuse, "strftime_now": _now}
    return environment.from_string(template).render(**variables)


def main() -> None:
    """Render what standard input asks for."""
    wanted = json.load(sys.stdin)
    # what is loaded on first use is loaded now: codecs of literals, the library's error reports
    render(r"{% for x in ['\n'] %}{{ x | tojson }}{% endfor %}", {})
    _limit(wanted["seconds"], wanted["memory"])
    text = render(wanted["template"], wanted["variables"])
    if len(text) > wanted["characters"]:
        raise OverflowError(f"the text has {len(text)} characters")
    sys.stdout.write(json.dumps(text))


if __name__ == "__main__":
    main()
