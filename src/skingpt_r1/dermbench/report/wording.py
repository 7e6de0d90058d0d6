"""Numbers and names as the page and the Markdown file write them."""

from collections.abc import Callable

from skingpt_r1.stats.intervals import NO_INTERVAL, Interval

MISSING = "–"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a fixed count of decimals, a true minus, none before zero; a dash for None."""
    if value is None:
        return MISSING
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def signed(value: float | None, digits: int = 2) -> str:
    """As `number`, with a plus before what is not negative."""
    text = number(value, digits)
    return text if text[0] in {MISSING, "−"} else f"+{text}"


def interval(measure: Interval | None, digits: int = 2) -> str:
    """`3.41 (3.30 to 3.52)`; a dash for None."""
    if measure is None:
        return MISSING
    return f"{number(measure.value, digits)} ({ends(measure, digits)})"


def ends(measure: Interval, digits: int = 2, *, write: Callable[..., str] = number) -> str:
    """`3.30 to 3.52`, or why there is no interval."""
    if measure.ends is None:
        return NO_INTERVAL
    return " to ".join(write(end, digits) for end in measure.ends)


def percent(share: float | None, digits: int = 1) -> str:
    """A share as per cent; a dash for None."""
    return MISSING if share is None else f"{number(100 * share, digits)} %"


def percent_interval(measure: Interval | None, digits: int = 1) -> str:
    """`81.2 % (79.0 to 83.3)`; a dash for None."""
    if measure is None:
        return MISSING
    return f"{percent(measure.value, digits)} ({ends(measure, digits, write=_hundredfold)})"


def _hundredfold(share: float, digits: int) -> str:
    return number(100 * share, digits)


def p_value(p: float | None) -> str:
    """Three decimals, or `< 0.001`."""
    if p is None:
        return MISSING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def of_run(name: str, run: str) -> str:
    """A name with its run, where the report is of several."""
    return f"{name}, run {run}" if run else name


def count(value: int) -> str:
    """A number of things, thousands apart."""
    return f"{value:,}"
