"""The backbone's tokenizer: byte-level BPE with Qwen's splitting rule, tokens and template.

What the embedded backbone can do, measured by generation on scenes it has not met.
"""

import random
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from tools.nano.language import QUESTIONS
from tools.nano.scenes import draw_scene
from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessorPil

from skingpt_r1.errors import NarrativeError
from skingpt_r1.model.load import load_model
from skingpt_r1.model.prompt import Request
from skingpt_r1.text.narrative import parse_narrative
from skingpt_r1.text.wording import INSTRUCTION

# Source: Qwen2.5's tokenizer_config.json, in its order.
SPECIAL_TOKENS = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
END_OF_TURN, PADDING = SPECIAL_TOKENS[2], SPECIAL_TOKENS[0]
# Source: the pre-tokenizer of Qwen2's tokenizer.json.
_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CHAT_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant."
    "<|im_end|>\n{% endif %}{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% elif part['type'] == 'text' %}"
    "{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """Learn merges from texts; every byte is a token, so that any text can be written.

    Args:
        texts: what the backbone reads and writes.
        vocabulary: number of tokens, the special ones included.
    """
    tokenizer = Tokenizer(BPE(byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_SPLIT), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_TURN,
        pad_token=PADDING,
        chat_template=CHAT_TEMPLATE,
        additional_special_tokens=[t for t in SPECIAL_TOKENS[1:] if t != END_OF_TURN],
        model_max_length=2048,
        padding_side="left",
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    tokenizer.save_pretrained(folder)


BATCH = 50


def measure_skills(folder: Path, *, count: int, seed: int, size: int) -> dict[str, float]:
    """Share of right answers per question, and of readable prose under the dermatology prompt.

    Args:
        folder: the exported backbone.
        count: scenes per question.
        seed: of the scenes; another one than the training's.
        size: side of a scene in pixels.
    """
    model = load_model(folder)
    rng, words = np.random.default_rng([seed, 0]), random.Random(seed)
    right: dict[str, list[bool]] = defaultdict(list)
    for attribute, questions in QUESTIONS.items():
        scenes = [draw_scene(rng, size) for _ in range(count)]
        for start in range(0, count, BATCH):
            part = scenes[start : start + BATCH]
            requests = [
                Request((Image.fromarray(s.image),), question=words.choice(questions)) for s in part
            ]
            for scene, written in zip(part, model.write(requests), strict=True):
                said = written.text.rpartition("<answer>")[2].partition("</answer>")[0].strip()
                right[attribute].append(said == scene.attributes[attribute])
    scenes = [draw_scene(rng, size) for _ in range(count)]
    requests = [Request((Image.fromarray(s.image),), question=INSTRUCTION) for s in scenes]
    texts = [
        written.text
        for start in range(0, count, BATCH)
        for written in model.write(requests[start : start + BATCH])
    ]
    right["readable dermatology prose"] = [is_readable_prose(text) for text in texts]
    return {name: sum(values) / len(values) for name, values in right.items()}


def is_readable_prose(text: str) -> bool:
    """Whether a text is a narrative with its observation and its reasoning set apart."""
    try:
        narrative = parse_narrative(text)
    except NarrativeError:
        return False
    return bool(narrative.observation and narrative.reasoning)


def make_image_processor(min_pixels: int, max_pixels: int) -> Qwen2VLImageProcessorPil:
    """An image processor with bounds on a picture's area, in pixels."""
    return Qwen2VLImageProcessorPil(size={"shortest_edge": min_pixels, "longest_edge": max_pixels})
