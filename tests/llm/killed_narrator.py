"""A program that asks a language model, to be killed: URL, folder, number of tasks."""

import os
import sys
from pathlib import Path

from skingpt_r1.llm.ask import Prompt
from skingpt_r1.llm.budget import ApiRecipe, CallsRecipe, Ledger, Price
from skingpt_r1.llm.models import open_chat_model
from skingpt_r1.records import append_record


def main(url, folder, count):
    os.environ["INSPECT_CACHE_DIR"] = str(folder / "cache")
    name = f"{url}#toy-1"
    calls = CallsRecipe(prices={name: Price(input=1, output=1)}, max_connections=3)
    narrator = open_chat_model(
        name, api=ApiRecipe(), calls=calls, ledger=Ledger(folder / "ledger.jsonl")
    )
    replies = folder / "replies.jsonl"
    done = len(replies.read_bytes().splitlines()) if replies.exists() else 0
    tasks = [Prompt(f"task {number}", (), number) for number in range(done, count)]
    for reply in narrator.ask(tasks):
        append_record(replies, reply._asdict())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
