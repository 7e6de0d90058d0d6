"""Chat templates from outside: rendered as the library does, bounded, and typed when they fail."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bad_directories import change_json, copy_model
from tools.nano.tokenizer import CHAT_TEMPLATE
from transformers import AutoTokenizer

from skingpt_r1.errors import CheckpointError
from skingpt_r1.model import processor as chat_template
from skingpt_r1.model.load import describe_directory, load_model
from skingpt_r1.model.processor import load_processor

CHAT = [
    {
        "role": "user",
        "content": [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "See {{ 1 }}."}],
    }
]
LOOP = "{% for x in range(99999) %}" * 3 + "{% endfor %}" * 3
DOUBLING = (
    "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}"
)
FAILING = {
    "syntax": ("{% for message in messages %}", "TemplateSyntaxError"),
    "undefined": ("{{ messages.first.role }}", "UndefinedError"),
    "type": ("{{ 1 + 'a' }}", "TypeError"),
    "division": ("{{ 1 / 0 }}", "ZeroDivisionError"),
    "index": ("{{ messages[7].role.x }}", "UndefinedError"),
    "recursion": ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "RecursionError"),
    "raise": ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
    "filter": ("{{ messages | nothing }}", "No filter named 'nothing'"),
    "test": ("{{ messages is nothing }}", "No test named 'nothing'"),
    "include": ("{% include '/etc/hostname' %}", "no loader"),
    "import": ("{% import 'os' as os %}", "no loader"),
    "attribute": ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
    "globals": ("{{ lipsum.__globals__['os'].system('exit') }}", "SecurityError"),
    "large range": ("{{ range(10**9) | list }}", "Range too big"),
    "large text": ("{{ CHAT }}{{ 'a' * 10**9 }}", "template"),
    "long text": ("{{ 'a' * 2000000 }}", "2000000 characters"),
    "doubling": (DOUBLING, "MemoryError"),
    "power": ("{{ 'a' * (9 ** 9) }}", "MemoryError"),
    "empty": ("", "writes 0"),
    "no picture": ("{{ messages[0].content[2].text }}", r"writes 0 <\|image_pad\|> for 2 pictures"),
    "no text": ("<|image_pad|><|image_pad|>", "leaves out what is said"),
    "twice": (CHAT_TEMPLATE * 2, "writes 4"),
}


@pytest.fixture
def render(tiny_folder: Path) -> Callable[..., str]:
    """Renders a chat with another template."""
    processor = load_processor(tiny_folder)
    assert processor is not None

    def render(template: str, chat: list[dict] = CHAT, **special: str) -> str:
        processor.tokenizer.chat_template = template
        processor.tokenizer.add_special_tokens(special)
        return processor.render_chat(chat, answer_follows=True)

    return render


@pytest.mark.parametrize("kind", FAILING)
def test_templates_that_fail(kind: str, render: Callable[..., str]) -> None:
    template, message = FAILING[kind]
    with pytest.raises(CheckpointError, match=message) as caught:
        render(template)
    assert len(str(caught.value)) < 500


def test_a_template_that_loops_is_ended(
    monkeypatch: pytest.MonkeyPatch, render: Callable[..., str]
) -> None:
    monkeypatch.setattr(chat_template, "TEMPLATE_SECONDS", 1)
    with pytest.raises(CheckpointError, match="takes more than 1 s"):
        render(LOOP)


def test_a_template_that_loops_for_many_pictures_alone(
    monkeypatch: pytest.MonkeyPatch, render: Callable[..., str]
) -> None:
    monkeypatch.setattr(chat_template, "TEMPLATE_SECONDS", 1)
    many = "{% if messages[0].content | length > 3 %}" + LOOP + "{% endif %}" + CHAT_TEMPLATE
    assert render(many)
    longer = [CHAT[0] | {"content": [{"type": "image"}, *CHAT[0]["content"]]}]
    with pytest.raises(CheckpointError, match="takes more than"):
        render(many, longer)


@pytest.mark.parametrize("answer_follows", [True, False])
def test_a_template_is_rendered_as_the_library_does(
    tiny_folder: Path, answer_follows: bool
) -> None:
    library = AutoTokenizer.from_pretrained(tiny_folder)
    ours = load_processor(tiny_folder)
    assert ours is not None
    for text in ("See {{ 1 }}.", "@text0@ <b>&amp;</b>\n\n", "", "ü 😀 \\1 \\g<0>"):
        chat = [
            {"role": "system", "content": [{"type": "text", "text": "Be kind. @text1@"}]},
            {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]},
        ]
        wanted = library.apply_chat_template(
            chat, tokenize=False, add_generation_prompt=answer_follows
        )
        assert ours.render_chat(chat, answer_follows=answer_follows) == wanted


def test_parts_of_other_templates(render: Callable[..., str]) -> None:
    """Tags, functions and variables that chat templates of other models use."""
    template = (
        "{%- if tools %}no{%- endif %}{{ bos_token }}{% for m in messages %}{% generation %}"
        "{% for c in m.content %}{% if c.type == 'image' %}<|image_pad|>{% continue %}{% endif %}"
        "{{ c.text }}{% endfor %}{% endgeneration %}{% endfor %}{{ {'a': 'ü<'} | tojson }}"
        "{{ strftime_now('%Y') | length }}"
    )
    text = render(template, bos_token="<s>")
    assert text == '<s><|image_pad|><|image_pad|>See {{ 1 }}.{"a": "ü<"}4'


def test_one_form_of_chat_is_rendered_once(tiny_folder: Path) -> None:
    processor = load_processor(tiny_folder)
    assert processor is not None
    processor.render_chat(CHAT, answer_follows=True)
    start = time.monotonic()
    for number in range(1000):
        content = [*CHAT[0]["content"][:2], {"type": "text", "text": f"text {number}"}]
        chat = processor.render_chat([CHAT[0] | {"content": content}], answer_follows=True)
        assert f"text {number}<|im_end|>" in chat
    assert time.monotonic() - start < 20  # a process each would take minutes


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return copy_model(tiny_folder, tmp_path / "copy")


@pytest.mark.parametrize(
    "content", [b"", b"{% for %}", b"{{ messages }}", b"\xff\xfe\x00", b"\0", b"{{ 1 / 0 }}"]
)
def test_a_directory_with_a_failing_template(content: bytes, copy: Path) -> None:
    (copy / "chat_template.jinja").write_bytes(content)
    report = describe_directory(copy)
    assert not report.loads
    assert "template" in report.details[0]


@pytest.mark.parametrize(
    "template", [5, [], {}, True, [5], [{"name": 5}], {"default": 5}, {"tools": CHAT_TEMPLATE}]
)
def test_a_template_of_the_wrong_kind(template: object, copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    change_json(copy / "tokenizer_config.json", {"chat_template": template})
    assert not describe_directory(copy).loads


@pytest.mark.parametrize("template", [CHAT_TEMPLATE, {"default": CHAT_TEMPLATE}])
def test_a_template_in_tokenizer_config(template: object, copy: Path, tiny_folder: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    change_json(copy / "tokenizer_config.json", {"chat_template": template})
    processor, before = load_processor(copy), load_processor(tiny_folder)
    assert processor is not None
    assert before is not None
    chat = processor.render_chat(CHAT, answer_follows=True)
    assert chat == before.render_chat(CHAT, answer_follows=True)


@pytest.mark.parametrize("eos", ["<|endoftext|>", "<|image_pad|>", None])
def test_the_turn_ends_where_the_template_ends_it(eos: str | None, copy: Path) -> None:
    """A base model's `eos_token` ends documents; an answer ends at the end of the turn."""
    change_json(copy / "tokenizer_config.json", {"eos_token": eos})
    (copy / "generation_config.json").write_text(json.dumps({"eos_token_id": 0}))
    model = load_model(copy)
    assert model.processor is not None
    end = model.processor.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert model.processor.end_id == end
    assert model.backbone.generation_config.eos_token_id == [0]


def test_without_an_end_in_the_template_the_tokenizer_says(copy: Path) -> None:
    template = (copy / "chat_template.jinja").read_text()
    (copy / "chat_template.jinja").write_text(template.replace("<|im_end|>", "###"))
    processor = load_processor(copy)
    assert processor is not None
    assert processor.tokenizer.convert_ids_to_tokens(processor.end_id) == "<|im_end|>"
    change_json(copy / "tokenizer_config.json", {"eos_token": None})
    with pytest.raises(CheckpointError, match="the model's turn has no end"):
        load_processor(copy)
