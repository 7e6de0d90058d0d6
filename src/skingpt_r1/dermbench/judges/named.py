"""Judges by name.

rubric                    the offline rules, against the reference
dermeval, dermeval:DIR    a trained evaluator, without a reference
<provider>/<model>        a language model as inspect-ai names it, against the reference
<URL>#<model>             a server that speaks the OpenAI protocol
NAME, NAME:...            a judge that another package brings (`skingpt_r1.judges`)
"""

from collections.abc import Callable

from skingpt_r1.dermbench.judges.evaluator import DERMEVAL, open_evaluator_judge
from skingpt_r1.dermbench.judges.judge import Judge, JudgeOptions, Opener
from skingpt_r1.dermbench.judges.language_model import open_llm_judge
from skingpt_r1.dermbench.judges.rules import RubricJudge
from skingpt_r1.errors import RecipeError
from skingpt_r1.llm.budget import Ledger
from skingpt_r1.plugins import load_plugins
from skingpt_r1.text.rubric import Protocol

RUBRIC = "rubric"
BUILT_IN: dict[str, Opener] = {
    RUBRIC: lambda _name, _options, _ledger: RubricJudge(),
    DERMEVAL: open_evaluator_judge,
}


def open_judge(name: str, options: JudgeOptions, ledger: Ledger) -> Judge:
    """A judge by its name; the ledger is shared by all judges of a run, with its limit.

    Raises:
        RecipeError: a name that means no judge, or an option that the judge does not have.
        SkinGPTError: it cannot be opened: no such evaluator, device or model, no key, no price.
    """
    kind = name.partition(":")[0]
    if is_language_model(name):
        return open_llm_judge(name, options, ledger)
    if kind in BUILT_IN:
        _check(name, options)
        if kind == RUBRIC != name:
            raise _unknown(name)
        return BUILT_IN[kind](name, options, ledger)
    others: dict[str, Opener] = load_plugins("judges", kind, Callable, taken=BUILT_IN)
    if kind not in others:
        raise _unknown(name, *others)
    return others[kind](name, options, ledger)


def is_language_model(name: str) -> bool:
    """Whether a judge is a language model, whose calls may cost."""
    return "/" in name and ("://" in name or ":" not in name.partition("/")[0])


def _unknown(name: str, *others: str) -> RecipeError:
    more = "".join(f", {other!r}" for other in others)
    return RecipeError(
        f"no judge is called {name!r}; give {RUBRIC!r}, {DERMEVAL!r}, 'dermeval:DIR', a model as "
        f"inspect-ai names it (openai/gpt-5), or URL#MODEL{more}"
    )


def _check(name: str, options: JudgeOptions) -> None:
    if options.protocol is not Protocol.DECIMAL_0_5:
        raise RecipeError(
            f"judge {name!r} scores on {Protocol.DECIMAL_0_5.value}; only language models judge on "
            f"{options.protocol.value}"
        )
    if options.candidate_first:
        raise RecipeError(f"judge {name!r} has no order of passages; leave --candidate-first out")
