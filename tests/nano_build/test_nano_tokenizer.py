import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tools.nano.build import WEIGHTS
from tools.nano.language import DISEASES
from tools.nano.tokenizer import SPECIAL_TOKENS
from transformers import AutoTokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(WEIGHTS)


def test_qwens_special_tokens_are_single_tokens(tokenizer):
    for token in SPECIAL_TOKENS:
        assert len(tokenizer(token)["input_ids"]) == 1


def test_names_are_short(tokenizer):
    lengths = [len(tokenizer(f" {name}")["input_ids"]) for name in DISEASES]
    assert max(lengths) <= 4


@settings(max_examples=200, deadline=None)
@given(text=st.text())
def test_any_text_comes_back(tokenizer, text):
    import unicodedata

    text = unicodedata.normalize("NFC", text)
    if "<|" in text or "\ud800" <= max(text, default="") <= "\udfff":
        return
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
