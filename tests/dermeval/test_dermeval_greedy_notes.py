"""Replies whose notes are greedy: what is left to choose, and from where on."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_evaluator import tiny_recipe

from skingpt_r1.dermeval.examples import CritiqueExamples, mean_lessons, store_pictures
from skingpt_r1.dermeval.policy import PolicyObjective, question_joiner
from skingpt_r1.dermeval.sampling import TITLE, GreedyNotes, prompts_of, verdict_begins
from skingpt_r1.model.generation import Decoding
from skingpt_r1.ratings.rating import read_ratings


class Letters:
    """A processor whose tokens are the letters of a text."""

    def decode(self, tokens):
        return "".join(map(chr, tokens))


def test_one_token_is_left_until_the_title_is_there():
    processor = GreedyNotes(Letters(), rows=2)
    logits = torch.tensor([[0.0, 2.0, 1.0]]).repeat(2, 1)
    texts = [f"a note\n{TITLE}", "a note that is longer than that"]
    ids = torch.zeros(2, 1, dtype=torch.long)  # the last token of the question
    for place in range(len(texts[0]) + 1):
        found = processor(ids, logits).isfinite().sum(-1).tolist()
        assert found == [3 if place == len(texts[0]) else 1, 1], place
        step = [ord(text[place]) if place < len(text) else 0 for text in texts]
        ids = torch.cat([ids, torch.tensor(step)[:, None]], 1)


def test_the_likeliest_token_is_the_one_that_is_left():
    logits = torch.tensor([[0.0, 2.0, 1.0]])
    found = GreedyNotes(Letters(), rows=1)(torch.zeros(1, 1, dtype=torch.long), logits)
    assert found.tolist() == [[-torch.inf, 2.0, -torch.inf]]


@given(st.text("Acur y\n", max_size=20), st.data())
def test_the_verdict_begins_after_the_piece_that_ends_the_title(notes, data):
    text = f"{notes}{TITLE}: 3.0"
    pieces = []
    while (start := len("".join(pieces))) < len(text):
        pieces.append(text[start : start + data.draw(st.integers(1, 4))])
    begins = verdict_begins(pieces)
    assert TITLE in "".join(pieces[:begins])
    assert TITLE not in "".join(pieces[: begins - 1])


def test_without_a_title_no_token_is_an_action():
    assert verdict_begins(["a", " note"]) == 2
    assert verdict_begins([]) == 0


@pytest.fixture(scope="module")
def drawn_and_greedy(taught, backbone, files, tmp_path_factory):
    """Replies drawn at a high temperature behind greedy notes, and the greedy replies."""
    recipe = tiny_recipe(backbone, *files, policy__notes="greedy", policy__temperature=3.0)
    judged = read_ratings(files[0])
    pictures = store_pictures(taught, judged, recipe.features, tmp_path_factory.mktemp("pictures"))
    examples = CritiqueExamples(pictures, mean_lessons(judged, brief=1.0, seed=0), taught)
    objective = PolicyObjective(
        taught, recipe.policy, max_new_tokens=40, seed=0, reference=taught.adapter_state()
    )
    join = question_joiner(recipe.policy)
    batch = join([examples[row] | {"weight": torch.ones(())} for row in range(3)], 0)
    drawn = objective.sample(batch)
    prompts = prompts_of(batch, taught.processor.pad_id)
    tower = objective.log_probs.language.tower(objective.log_probs.language.seen(batch))
    greedy = taught.generate_ids(prompts, Decoding(max_new_tokens=40), tower=tower)
    return drawn, greedy.tolist()


def test_notes_are_those_of_a_judge_and_scores_are_drawn(drawn_and_greedy):
    drawn, greedy = drawn_and_greedy
    for reply, begins, row in zip(drawn.replies, drawn.begins, greedy, strict=True):
        assert 0 < begins < len(reply)
        assert reply[:begins] == row[:begins]
    assert any(
        reply[begins:] != row[begins : len(reply)]
        for reply, begins, row in zip(drawn.replies, drawn.begins, greedy, strict=True)
    )
