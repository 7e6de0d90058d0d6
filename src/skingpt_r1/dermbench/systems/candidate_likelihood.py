"""How likely each candidate label is to a model of this machine, after it has reasoned or at once.

The score is the mean log-likelihood of the tokens of `label </answer>`, so that a long name is not
at a disadvantage; prompt, pictures and reasoning are read once for all candidates.
"""

from typing import TYPE_CHECKING

from skingpt_r1.dermbench.questions import Asked

if TYPE_CHECKING:
    from skingpt_r1.model.skingpt import SkinGPT


def candidate_probabilities(
    model: "SkinGPT", asked: Asked, text: str = "", *, bias: bool = True
) -> dict[str, float]:
    """Candidate -> probability, in the order of the question: softmax of the scores.

    Args:
        model: with a processor.
        asked: a question with candidates, and its pictures.
        text: what the model wrote about it; the candidates are weighed in place of its answer.
            Empty weighs them right after the prompt.
        bias: False asks the plain backbone.

    Raises:
        SkinGPTError: the question has no candidates.
    """
    from skingpt_r1.model.diagnosis import ANSWER_OPENS, weigh
    from skingpt_r1.model.prompt import Request

    question = asked.question
    request = Request(asked.pictures, question=question.prompt)
    reasoning = text.partition(ANSWER_OPENS)[0]
    weighed = weigh(model, request, reasoning, question.candidates, bias=bias)
    chances = {candidate.label: candidate.probability for candidate in weighed}
    return {label: chances[label.strip()] for label in question.candidates}
