"""SCIN: pictures that people took of their own skin, one to three a case, labelled later."""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from skingpt_r1.data.reading import Reader, Reading
from skingpt_r1.data.table import Row, Table, first_file, read_csv, rows_by_id
from skingpt_r1.text.values import given_text, rest, stated, tidy

PICTURES = ("image_1_path", "image_2_path", "image_3_path")
WEIGHTS = "weighted_skin_condition_label"
TYPES = {f"FST{scale}": scale for scale in range(1, 7)}
UNTOLD = {"NONE_SELECTED", "NONE_IDENTIFIED"}
FIELDS = "fields"  # a column that we add: fields of the case


def _fill(reading: Reading) -> None:
    cases = first_file(reading, ("scin_cases.csv", "dataset/scin_cases.csv"))
    labels = first_file(reading, ("scin_labels.csv", "dataset/scin_labels.csv"))
    rows = read_csv(cases, TABLE.columns, reading)
    labelled = rows_by_id(read_csv(labels, ("case_id", WEIGHTS), reading), "case_id", reading)
    for name in sorted(labelled.keys() - {row.values["case_id"].strip() for row in rows}):
        reading.problem(labelled[name].where, f"case {name!r} is not in {cases.name}")
    # The table names paths from above `dataset`; the folder may begin at or below it.
    TABLE.add(_joined(rows, labelled, reading), reading, root=cases.parent)
    reading.notes["unlabelled"] += sum(case.label is None for case in reading.cases)


def _joined(rows: list[Row], labelled: Mapping[str, Row], reading: Reading) -> Iterator[Row]:
    for row in rows:
        labels = labelled.get(row.values["case_id"].strip())
        fields = {
            "label": _heaviest(labels, reading) if labels else None,
            "fitzpatrick": _skin_type(row, labels, reading),
            "images": [text for column in PICTURES if (text := given_text(row.values[column]))],
            "context": stated(
                site=_ticked(row.values, "body_parts_"), age=_age_range(row.values["age_group"])
            ),
        }
        if not fields["images"]:
            reading.problem(row.where, "no picture: image_1_path to image_3_path are empty")
        opinions = rest(labels.values, "case_id") if labels else {}
        yield Row(row.where, {**row.values, **opinions, FIELDS: fields})


def _heaviest(row: Row, reading: Reading) -> str | None:
    """The condition of the highest weight in a cell such as `{'Eczema': 0.7, 'Acne': 0.3}`."""
    text = given_text(row.values[WEIGHTS])
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
    named = [name for name in weights if given_text(name) is not None]
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
    text = given_text(value)
    if text is None or text in UNTOLD:
        return None
    if text not in TYPES:
        reading.problem(where, f"{column} {value!r} is not FST1..FST6 or NONE_SELECTED")
    return TYPES.get(text)


def _age_range(value: str) -> str | None:
    """`AGE_18_TO_29` as `18 to 29`; None when the contributor did not tell."""
    text = given_text(value)
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


def _more(row: Row, _: Reading) -> dict[str, Any]:
    fields: dict[str, Any] = row.values[FIELDS]
    return fields


TABLE = Table(
    columns=("case_id", "age_group", "fitzpatrick_skin_type", *PICTURES),
    folders="dataset|images",
    id="case_id",
    used=(*PICTURES, FIELDS),
    more=_more,
)
READER = Reader(
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
    fill=_fill,
)
