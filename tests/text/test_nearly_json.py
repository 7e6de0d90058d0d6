"""Nearly valid JSON: what has one meaning is read, and in time that grows with the text."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skingpt_r1.text.nearly_json import Fields, find_objects, is_strict_json


def plain(content):
    """Fields as a dictionary, all the way down."""
    if isinstance(content, Fields):
        return {key: plain(value) for key, value in content.pairs}
    return [plain(item) for item in content] if isinstance(content, list) else content


def read(text):
    return [plain(found.content) for found in find_objects(text) if found.content is not None]


@pytest.mark.parametrize(
    ("text", "content"),
    [
        ('{"a": 1, "b": [1, {"c": "x"},],}', {"a": "1", "b": ["1", {"c": "x"}]}),
        ("{'a': 'it's fine', 'b': None}", {"a": "it's fine", "b": "None"}),
        ('{"a": "he said "no" to it"}', {"a": 'he said "no" to it'}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('{"a": 1, // one\n "b": 2 /* two */, # three\n c: 3}', {"a": "1", "b": "2", "c": "3"}),
        ("{Medical Groundedness: 4 out of 5}", {"Medical Groundedness": "4 out of 5"}),
        ('{"a": 4.5/5, "b": http://x}', None),
        ('{"a": "b"\n "c": "d"}', {"a": "b", "c": "d"}),
        ("{“a”: “b”}", {"a": "b"}),
        ('{"a": {"b": "c"}', {"a": {"b": "c"}}),
        ('```json\n{"a": {"b": "c"}\n```\nDone.', {"a": {"b": "c"}}),
        ('{"a": "\\u0041\\n\\"q\\"", "b": "x\\\\"}', {"a": 'A\n"q"', "b": "x\\"}),
        ('{"a": "\\ud800"}', {"a": "\ufffd"}),
        ("{'a': True, 'b': 5e-05}", {"a": "True", "b": "5e-05"}),
        ('see {x} and {"a": 1}', {"a": "1"}),
        ('{"a": "unclosed }\n{"b": 4}', {"b": "4"}),
        ('{"a": 4,5, "b": 3}', None),  # a decimal comma, or two values
        ('{"a": 4', None),  # the number may be cut
        ('{"a": 4, "b', None),
        ('{"a": "b" "c": "d"}', None),
    ],
)
def test_what_is_read(text, content):
    assert read(text) == ([] if content is None else [content])


def test_whole_objects_inside_a_broken_one_follow_it():
    found = list(find_objects('{"x": {"a": 4}, "y": {"b": oops oops: {'))
    assert [item.content is None for item in found[:2]] == [True, False]
    assert plain(found[1].content) == {"a": "4"}


def test_places_and_missing_braces():
    text = 'so: {"a": "1"} and [{"b": "2"}'
    closed, open_ = (item for item in find_objects(text) if item.content is not None)
    assert text[closed.start : closed.end] == '{"a": "1"}'
    assert (closed.is_closed, open_.is_closed) == (True, False)
    assert is_strict_json('{"a": 1}')
    assert not is_strict_json("{'a': 1}")
    assert not is_strict_json("[" * 100_000)


values = st.recursive(
    st.one_of(st.text(max_size=12), st.integers(), st.floats(allow_nan=False), st.booleans()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def written(value):
    """A JSON value as `plain` gives it: scalars as they are written."""
    if isinstance(value, dict):
        return {key: written(item) for key, item in value.items()}
    if isinstance(value, list):
        return [written(item) for item in value]
    return value if isinstance(value, str) else json.dumps(value)


@given(st.dictionaries(st.text(max_size=8), values, max_size=4))
@settings(max_examples=150, deadline=None)
def test_valid_json_is_read_as_what_it_is(value):
    for indent in (None, 1):
        text = json.dumps(value, indent=indent)
        assert read(f"It is {text} so.") == [written(value)], text


@given(st.text(alphabet="{}[]:,\"'ab1 \n\\/#*`“”", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_text_ends(text):
    places = [(found.start, found.end) for found in find_objects(text) if found.content is not None]
    assert all(0 <= start < end <= len(text) for start, end in places)


HOSTILE = ["{", "[", '{"a":', '{"a":[', "{/*", '{"', "{'\"", '{"{",', '{"{\'",\'', '{"\\"', "{a ",
           '{"a": "x" ', "{“", '{"a":"{",', "{'{\"", '[{"a":1}', '{"a": "b\n', "[ ", "{#", "{//",
           '{"a"\n', '{"a" "', "```{", '\\"{"', "{ "]  # fmt: skip


@pytest.mark.parametrize("seed", HOSTILE)
def test_time_is_linear(seed):
    started = time.process_time()
    assert len(list(find_objects(seed * (100_000 // len(seed))))) <= 100_000
    assert time.process_time() - started < 2
