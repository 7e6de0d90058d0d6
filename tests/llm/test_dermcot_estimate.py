"""What `--dry-run` says, beside what a real run then takes."""

import pytest
from openai_server import openai_server, text
from PIL import Image

from skingpt_r1.dermcot.narrators import check_models, check_name, estimate_lines, make_narrators
from skingpt_r1.dermcot.recipe import CorpusRecipe
from skingpt_r1.errors import CostError, NarratorError, RecipeError
from skingpt_r1.llm.ask import Prompt
from skingpt_r1.llm.budget import OVERHEAD_TOKENS, ApiRecipe, CallsRecipe, Ledger, Price, estimate
from skingpt_r1.llm.models import open_chat_model
from skingpt_r1.recipes import check_recipe

API = ApiRecipe(max_tokens=100)


def recipe_of(name, **narrators):
    return CorpusRecipe.model_validate(
        {
            "name": "small",
            "cases": {"count": 5, "held_out": 2, "size": 48},
            "narrators": {"observe": name, "reason": name, **narrators},
        }
    )


def test_the_sums(tmp_path):
    calls = CallsRecipe(prices={"toy": Price(input=1.0, output=2.0)}, image_tokens=500)
    prompts = [
        Prompt("x" * 40, (tmp_path / "a.jpg", tmp_path / "b.jpg"), 1),
        Prompt("y" * 80, (), 1),
    ]
    found = estimate(prompts, "toy", api=API, calls=calls)
    assert (found.calls, found.images, found.output_tokens) == (2, 2, 200)
    assert found.input_tokens == 2 * OVERHEAD_TOKENS + 10 + 2 * 500 + 20
    most = 2 * OVERHEAD_TOKENS + 40 + 2 * 500 + 80
    assert found.at_most_usd == pytest.approx((most * 1 + 200 * 2) / 1e6)


def test_a_reply_that_is_not_written_yet_counts_at_its_longest(tmp_path):
    calls = CallsRecipe(prices={"toy": Price(input=1.0, output=2.0)})
    found = estimate([Prompt("z" * 80, (), 1)], "toy", api=API, calls=calls, after_reply=True)
    assert found.input_tokens == OVERHEAD_TOKENS + 20 + 100
    assert found.at_most_usd == pytest.approx((OVERHEAD_TOKENS + 80 + 4 * 100 + 100 * 2) / 1e6)


def test_without_a_price_the_cost_is_unknown():
    found = estimate([Prompt("x", (), 1)], "toy", api=API, calls=CallsRecipe())
    assert found.at_most_usd is None
    assert str(found).endswith("cost unknown")


def test_a_real_run_costs_no_more_than_was_foreseen(tmp_path, monkeypatch):
    monkeypatch.setenv("INSPECT_CACHE_DIR", str(tmp_path / "cache"))
    picture = tmp_path / "a.png"
    Image.new("RGB", (64, 48), "tan").save(picture)
    tasks = [Prompt(f"describe {number}", (picture,), 1) for number in range(5)]
    # A token for every byte of the text is the most that any tokenizer makes of it.
    answer = text("words", tokens=(10 + 300, 100))
    with openai_server(lambda _: answer) as server:
        name = f"{server.url}#toy-1"
        calls = CallsRecipe(prices={name: Price(input=2.0, output=8.0)}, image_tokens=300)
        foreseen = estimate(tasks, name, api=API, calls=calls)
        assert server.num_calls == 0
        ledger = Ledger(tmp_path / "ledger.jsonl", max_cost_usd=foreseen.at_most_usd)
        narrator = open_chat_model(name, api=API, calls=calls, ledger=ledger)
        assert all(reply.problem is None for reply in narrator.ask(tasks))
    assert ledger.totals.calls == foreseen.calls
    assert ledger.totals.cost_usd <= foreseen.at_most_usd


def test_a_dry_run_of_a_corpus_needs_no_key_and_makes_no_call(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    recipe = recipe_of("openai/gpt-5")
    observe, reason = estimate_lines(recipe, tmp_path / "run")
    assert observe.startswith("observe: openai/gpt-5: 7 calls, 7 pictures")
    assert reason.startswith("reason: openai/gpt-5: 7 calls, 0 pictures")
    assert reason.endswith("cost unknown")
    assert not (tmp_path / "run" / "ledger.jsonl").exists()
    offline = estimate_lines(recipe_of("offline"), tmp_path / "run")
    assert all(line.endswith("no cost") for line in offline)


def test_models_are_checked_before_any_work(tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(NarratorError, match="OPENAI_API_KEY"):
        check_models(recipe_of("openai/gpt-5"), tmp_path)
    with pytest.raises(NarratorError, match="OPENAI_API_KEY"):
        make_narrators(recipe_of("openai/gpt-5"), tmp_path)
    with pytest.raises(CostError, match="is unknown, so --max-cost 3 cannot be kept"):
        check_models(recipe_of("openai/gpt-5"), tmp_path, max_cost=3)
    with pytest.raises(RecipeError, match="no narrator is called 'gpt'"):
        check_name("gpt")
    check_models(recipe_of("offline"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_one_model_is_opened_once_for_both_texts(tmp_path):
    narrators = make_narrators(recipe_of("http://127.0.0.1:9/v1#toy"), tmp_path)
    assert narrators["observe"] is narrators["reason"]


def test_a_misspelt_price_is_named():
    prices = {"prices": {"openai/gpt-5.1": {"input": 1, "outptu": 4}}}
    values = recipe_of("offline").model_dump()
    values["narrators"]["calls"] = prices
    with pytest.raises(RecipeError, match=r"prices\.openai/gpt-5\.1\.outptu; nearest: output"):
        check_recipe(CorpusRecipe, values)
