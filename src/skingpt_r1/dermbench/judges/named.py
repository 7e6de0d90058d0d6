"""Judges by name.

rubric                    the offline rules, against the reference
dermeval, dermeval:DIR    a trained evaluator, without a reference
<provider>/<model>        a language model as inspect-ai names it, against the reference
<URL>#<model>             a server that speaks the OpenAI protocol
"""

from collections.abc import Mapping
from typing import NamedTuple

from skingpt_r1.dermbench.judges.judge import Judge
from skingpt_r1.dermbench.judges.rules import RubricJudge
from skingpt_r1.errors import RecipeError
from skingpt_r1.llm.budget import CallsRecipe, Ledger, Price
from skingpt_r1.model.placement import ModelRecipe
from skingpt_r1.text.rubric import Protocol

RUBRIC, DERMEVAL = "rubric", "dermeval"


class JudgeOptions(NamedTuple):
    """How judges are opened.

    Attributes:
        protocol: the scale; only language models know both.
        candidate_first: language models see the candidate before the reference.
        brief: DermEval writes scores alone.
        prices: name of a model -> price.
        models: where DermEval goes.
    """

    protocol: Protocol = Protocol.DECIMAL_0_5
    candidate_first: bool = False
    brief: bool = False
    prices: Mapping[str, Price] = {}
    models: ModelRecipe = ModelRecipe()


def open_judge(name: str, options: JudgeOptions, ledger: Ledger) -> Judge:
    """A judge by its name.

    Args:
        name: see the module.
        options: how it judges.
        ledger: of the run, one for all of its judges, so that they share a limit.

    Raises:
        RecipeError: a name that means no judge, or an option that the judge does not have.
        CheckpointError: there is no such evaluator.
        DeviceError: this machine lacks the device.
        NarratorError: a language model cannot be asked.
        CostError: the ledger has a limit, and there is no price.
    """
    kind, _, rest = name.partition(":")
    if not is_language_model(name):
        _check(name, options)
    if name == RUBRIC:
        return RubricJudge()
    if kind == DERMEVAL:
        from skingpt_r1.dermbench.judges.evaluator import NANO, open_evaluator_judge

        return open_evaluator_judge(rest or NANO, brief=options.brief, models=options.models)
    if not is_language_model(name):
        raise RecipeError(
            f"no judge is called {name!r}; give {RUBRIC!r}, {DERMEVAL!r}, 'dermeval:DIR', a model "
            "as inspect-ai names it (openai/gpt-5), or URL#MODEL"
        )
    from skingpt_r1.dermbench.judges.language_model import open_llm_judge

    return open_llm_judge(
        name,
        protocol=options.protocol,
        ledger=ledger,
        calls=CallsRecipe(prices=dict(options.prices)),
        candidate_first=options.candidate_first,
    )


def is_language_model(name: str) -> bool:
    """Whether a judge is a language model, whose calls may cost."""
    return "/" in name and name.partition(":")[0] != DERMEVAL


def _check(name: str, options: JudgeOptions) -> None:
    if options.protocol is not Protocol.DECIMAL_0_5:
        raise RecipeError(
            f"judge {name!r} scores on {Protocol.DECIMAL_0_5.value}; only language models judge on "
            f"{options.protocol.value}"
        )
    if options.candidate_first:
        raise RecipeError(f"judge {name!r} has no order of passages; leave --candidate-first out")
