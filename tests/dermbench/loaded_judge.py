"""Loads all that a language model as judge needs: a process forked from here starts at once."""

from pathlib import Path

from killed_judge import open_judge

open_judge("http://127.0.0.1:9/v1", Path("nowhere"))
