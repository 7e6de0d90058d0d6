"""Prompts for a language model, and a narrator on the server of `openai_server.py`."""

from openai_server import text

from skingpt_r1.errors import CostError, NarratorError
from skingpt_r1.llm.ask import Prompt
from skingpt_r1.llm.budget import ApiRecipe, CallRecord, CallsRecipe, Ledger, Price
from skingpt_r1.llm.models import open_chat_model
from skingpt_r1.records import read_records

FINE = text("A single red papule with a sharp border is seen.")
PRICE = Price(input=2.0, output=10.0)


def make_task(prompt, picture=None, *, seed=1):
    return Prompt(prompt, (picture,) if picture else (), seed)


def narrator_of(server, folder, *, max_cost=None, prices=True, api=None, **calls):
    name = f"{server.url}#toy-1"
    quick = {"max_retries": 0, "first_wait_s": 0.05, "timeout_s": 60, "max_failures": 100}
    known = {"prices": {name: PRICE}} if prices else {}
    recipe = CallsRecipe.model_validate(quick | known | calls)
    ledger = Ledger(folder / "ledger.jsonl", max_cost)
    return open_chat_model(name, api=api or ApiRecipe(), calls=recipe, ledger=ledger)


def drain(replies):
    """The replies, and the error that ended them."""
    got = []
    try:
        got.extend(replies)
    except (CostError, NarratorError) as error:
        return got, error
    return got, None


def ledger_of(narrator):
    return read_records(narrator.ledger.path, CallRecord)
