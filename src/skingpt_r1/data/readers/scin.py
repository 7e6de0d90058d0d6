"""SCIN: pictures that people took of their own skin, one to three a case, labelled later."""

import ast
from collections import Counter
from pathlib import Path

from skingpt_r1.case import Case, SkinTone
from skingpt_r1.data.info import DatasetInfo
from skingpt_r1.data.pictures import PictureIndex
from skingpt_r1.data.reading import Reading
from skingpt_r1.data.table import Row, first_file, read_csv, rows_by_id
from skingpt_r1.text.values import known, rest, stated, tidy

INFO = DatasetInfo(
    name="scin",
    title="SCIN (Skin Condition Image Network)",
    licence="SCIN Data Use License",
    citation=(
        "Ward A, Li J, Wang J, et al. Creating an empirical dermatology dataset through"
        " crowdsourcing with web search advertisements. JAMA Network Open 7(11):e2446615 (2024)."
    ),
    url="https://github.com/google-research-datasets/scin",
    layout="scin_cases.csv, scin_labels.csv and images/, in the folder or in dataset/",
    group_key="case (case_id): contributors are not known",
    tone_field=(
        "dermatologist_fitzpatrick_skin_type_label_1..3 (most frequent), else fitzpatrick_skin_type"
    ),
)
PICTURES = ("image_1_path", "image_2_path", "image_3_path")
CASE_COLUMNS = ("case_id", "age_group", "fitzpatrick_skin_type", *PICTURES)
LABEL_COLUMNS = ("case_id", "weighted_skin_condition_label")
WEIGHTS = "weighted_skin_condition_label"
TYPES = {f"FST{scale}": scale for scale in range(1, 7)}
UNTOLD = {"NONE_SELECTED", "NONE_IDENTIFIED"}


def read(root: Path) -> Reading:
    """Read both tables and look for the pictures; the problems stay in the result."""
    reading = Reading(INFO, root)
    cases = first_file(reading, ("scin_cases.csv", "dataset/scin_cases.csv"))
    labels = first_file(reading, ("scin_labels.csv", "dataset/scin_labels.csv"))
    rows = read_csv(cases, CASE_COLUMNS, reading)
    labelled = rows_by_id(read_csv(labels, LABEL_COLUMNS, reading), "case_id", reading)
    for name in sorted(labelled.keys() - {row.values["case_id"].strip() for row in rows}):
        reading.problem(labelled[name].where, f"case {name!r} is not in {cases.name}")
    # The table names paths from above `dataset`; the folder may begin at or below it.
    pictures = PictureIndex(cases.parent, "dataset|images")
    for row in rows:
        _add(row, labelled.get(row.values["case_id"].strip()), pictures, reading)
    return reading


def load(root: Path, *, allow_missing: bool = False) -> list[Case]:
    """The cases of a SCIN folder, with one to three pictures each.

    The label is the condition of the highest weight, the first one on a tie; cases that no
    dermatologist could grade have none.

    Raises:
        DatasetError: all problems together.
    """
    return read(root).settle(allow_missing=allow_missing)


def _add(row: Row, labels: Row | None, pictures: PictureIndex, reading: Reading) -> None:
    values, where = row.values, row.where
    name = reading.required(where, "case_id", values["case_id"])
    opinions = labels.values if labels else {}
    label = _heaviest(labels, reading) if labels else None
    scale = _skin_type(row, labels, reading)
    names = [text for column in PICTURES if (text := known(values[column]))]
    if not names:
        reading.problem(where, "no picture: image_1_path to image_3_path are empty")
    if name is None or not names:
        return
    paths = [reading.picture(where, pictures, text) for text in names]
    found = tuple(path for path in paths if path is not None)
    if len(found) < len(names):
        return
    if label is None:
        reading.notes["unlabelled"] += 1
    reading.add(
        Case(
            id=name,
            images=found,
            dataset=INFO.name,
            group=name,
            label=label,
            fitzpatrick=scale,
            tone=None if scale is None else SkinTone.from_fitzpatrick(scale),
            context=stated(
                site=_ticked(values, "body_parts_"), age=_age_range(values["age_group"])
            ),
            attributes={**rest(values, "case_id", *PICTURES), **rest(opinions, "case_id")},
        ),
        where,
    )


def _heaviest(row: Row, reading: Reading) -> str | None:
    """The condition of the highest weight in a cell such as `{'Eczema': 0.7, 'Acne': 0.3}`."""
    text = known(row.values[WEIGHTS])
    if text is None:
        return None
    try:
        weights = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        weights = None
    if not isinstance(weights, dict) or not all(
        isinstance(name, str) and isinstance(weight, int | float)
        for name, weight in weights.items()
    ):
        reading.problem(row.where, f"{WEIGHTS} is not a mapping of names to weights: {text[:80]!r}")
        return None
    named = [name for name in weights if known(name) is not None]
    heaviest = max(named, key=lambda name: weights[name], default=None)
    return None if heaviest is None else tidy(heaviest)


def _skin_type(row: Row, labels: Row | None, reading: Reading) -> int | None:
    """What most dermatologists saw; on a tie, or without them, what the contributor told."""
    seen = []
    for number in (1, 2, 3):
        column = f"dermatologist_fitzpatrick_skin_type_label_{number}"
        if labels and column in labels.values:
            seen.append(_type(labels.where, column, labels.values[column], reading))
    column = "fitzpatrick_skin_type"
    told = _type(row.where, column, row.values[column], reading)
    counts = Counter(scale for scale in seen if scale is not None).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return told
    return counts[0][0]


def _type(where: str, column: str, value: str, reading: Reading) -> int | None:
    text = known(value)
    if text is None or text in UNTOLD:
        return None
    if text not in TYPES:
        reading.problem(where, f"{column} {value!r} is not FST1..FST6 or NONE_SELECTED")
    return TYPES.get(text)


def _age_range(value: str) -> str | None:
    """`AGE_18_TO_29` as `18 to 29`; None when the contributor did not tell."""
    text = known(value)
    if text is None or not text.startswith("AGE_") or text == "AGE_UNKNOWN":
        return None
    return text.removeprefix("AGE_").replace("_", " ").lower()


def _ticked(values: dict[str, str], prefix: str) -> str | None:
    """The boxes of a question that were ticked, in words, joined by commas."""
    names = [
        name.removeprefix(prefix).replace("_", " ").lower()
        for name, value in values.items()
        if name.startswith(prefix) and value.strip().upper() in {"YES", "TRUE", "1"}
    ]
    told = [name for name in names if name not in {"other", "no relevant experience"}]
    return ", ".join(told) or None
