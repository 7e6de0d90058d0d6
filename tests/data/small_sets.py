"""A five-case copy of every data set's layout, with generated pictures, one builder each."""

import csv
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CLASS = "Urticaria Hives"


def picture(path: Path, shade: int = 120) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5), (200, shade % 256, 90)).save(path)
    return path


def table(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def edit(path: Path, row: int, **cells: object) -> None:
    """Change cells of one data row, counted from 0; a column that is absent is added."""
    rows: list[dict[str, Any]] = [dict(values) for values in rows_of(path)]
    for name in cells:
        for values in rows:
            values.setdefault(name, "")
    rows[row].update(cells)
    table(path, rows)


def drop_column(path: Path, column: str) -> None:
    table(path, [{k: v for k, v in row.items() if k != column} for row in rows_of(path)])


def json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def ham10000(root: Path) -> None:
    rows = []
    for n, dx in enumerate(("mel", "nv", "bkl", "akiec", "vasc")):
        picture(root / f"HAM10000_images_part_{1 + n % 2}" / f"ISIC_{n}.jpg", n)
        rows.append({"lesion_id": f"HAM_{n // 2}", "image_id": f"ISIC_{n}", "dx": dx,
                     "dx_type": "histo", "age": "" if n == 4 else 50 + n, "sex": "male",
                     "localization": "unknown" if n == 4 else "lower extremity"})  # fmt: skip
    table(root / "HAM10000_metadata.csv", rows)


PAD_COLUMNS = (
    "patient_id", "lesion_id", "smoke", "drink", "background_father", "background_mother", "age",
    "pesticide", "gender", "skin_cancer_history", "cancer_history", "has_piped_water",
    "has_sewage_system", "fitspatrick", "region", "diameter_1", "diameter_2", "diagnostic", "itch",
    "grew", "hurt", "changed", "bleed", "elevation", "img_id", "biopsed",
)  # fmt: skip


def pad_ufes_20(root: Path) -> None:
    rows = []
    for n, code in enumerate(("NEV", "SEK", "ACK", "BCC", "MEL")):
        picture(root / "images" / f"imgs_part_{1 + n % 3}" / f"PAT_{n}.png", n)
        known = {"patient_id": f"PAT_{n // 2}", "lesion_id": n, "age": 40 + n, "region": "FOREARM",
                 "fitspatrick": "" if n == 4 else "3.0", "diagnostic": code, "itch": "True",
                 "grew": "UNK", "bleed": "UNK" if n == 4 else str(n == 0), "elevation": str(n < 2),
                 "img_id": f"PAT_{n}.png", "biopsed": "True", "diameter_1": "7.0"}  # fmt: skip
        rows.append({name: known.get(name, "") for name in PAD_COLUMNS})
    table(root / "metadata.csv", rows)


def dermnet(root: Path) -> None:
    for name in ("train/{}/hives-1.jpg", "train/{}/hives-2.jpg", "train/{}/07Rhinophyma1.jpg",
                 "test/{}/07Rhinophyma1.jpg", "test/{}/Hives-3.jpg"):  # fmt: skip
        picture(root / name.format(CLASS))


def fitzpatrick17k(root: Path) -> None:
    rows = []
    for n, scale in enumerate((-1, 1, 3, 5, 6)):
        name = f"{n:032x}"
        picture(root / "images" / f"{name}.jpg", n)
        rows.append({"md5hash": name, "fitzpatrick_scale": scale, "fitzpatrick_centaur": -1,
                     "label": "psoriasis", "nine_partition_label": "inflammatory",
                     "three_partition_label": "non-neoplastic", "qc": "", "url": "",
                     "url_alphanum": ""})  # fmt: skip
    table(root / "fitzpatrick17k.csv", rows)


def ddi(root: Path) -> None:
    rows = []
    for n, tone in enumerate((12, 34, 56, 12, 56), start=1):
        picture(root / "images" / f"{n:06}.png", n)
        rows.append({"": n - 1, "DDI_ID": n, "DDI_file": f"{n:06}.png", "skin_tone": tone,
                     "malignant": n == 1, "disease": "melanoma-in-situ"})  # fmt: skip
    table(root / "ddi_metadata.csv", rows)


def derm7pt(root: Path) -> None:
    rows = []
    for n in range(5):
        picture(root / "images" / "NEL" / f"NEL{n:03}.JPG", n)
        picture(root / "images" / "NEL" / f"Nel{n:03}d.jpg", n)
        rows.append({"case_num": n + 1, "diagnosis": "melanoma (in situ)",
                     "pigment_network": "absent", "elevation": "palpable",
                     "location": "lower limbs", "sex": "female", "clinic": f"NEL/Nel{n:03}.jpg",
                     "derm": f"nel/NEL{n:03}D.jpg", "case_id": "", "notes": ""})  # fmt: skip
    table(root / "meta" / "meta.csv", rows)
    for name, indexes in (("train", (0, 1, 2)), ("valid", (3,)), ("test", (4,))):
        table(root / "meta" / f"{name}_indexes.csv", [{"indexes": i} for i in indexes])


def isic_2019(root: Path) -> None:
    codes = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK")
    truths, facts = [], []
    for n, code in enumerate(("MEL", "SCC", "AK", "UNK", "DF")):
        name = f"ISIC_{n}" + ("_downsampled" if n == 1 else "")
        picture(root / "ISIC_2019_Training_Input" / f"{name}.jpg", n)
        truths.append({"image": name, **{c: "1.0" if c == code else "0.0" for c in codes}})
        facts.append({"image": name, "age_approx": "55.0", "anatom_site_general": "anterior torso",
                      "lesion_id": "" if n == 0 else f"BCN_{n // 2}", "sex": "female"})  # fmt: skip
    table(root / "ISIC_2019_Training_GroundTruth.csv", truths)
    table(root / "ISIC_2019_Training_Metadata.csv", facts)


def scin(root: Path) -> None:
    cases, labels = [], []
    for n in range(5):
        names = [f"dataset/images/-{n}{part}.png" for part in range(1 + n % 3)]
        for name in names:
            picture(root / name, n)
        cases.append({"case_id": f"-{n}", "age_group": "AGE_18_TO_29", "sex_at_birth": "FEMALE",
                      "fitzpatrick_skin_type": "FST2", "body_parts_arm": "YES",
                      "body_parts_other": "YES", "condition_symptoms_itching": "YES",
                      **{f"image_{i + 1}_path": names[i] if i < len(names) else ""
                         for i in range(3)}})  # fmt: skip
        labels.append({"case_id": f"-{n}",
                       "weighted_skin_condition_label":
                           "{}" if n == 4 else "{'Acne': 0.2, \"Grover's\": 0.8}",
                       "dermatologist_fitzpatrick_skin_type_label_1": "FST4" if n == 0 else "",
                       "dermatologist_fitzpatrick_skin_type_label_2": ""})  # fmt: skip
    table(root / "dataset" / "scin_cases.csv", cases)
    table(root / "dataset" / "scin_labels.csv", labels)


def skincap(root: Path) -> None:
    rows = []
    for n in range(1, 6):
        picture(root / "skincap" / f"{n}.png", n)
        rows.append({"id": n, "skincap_file_path": f"{n}.png", "ori_file_path": f"abc{n // 2}.jpg",
                     "disease": "psoriasis", "caption_zh": "斑块", "caption_zh_polish_en":
                     f"Plaque {n},\nwith scale.", "source": "ddi" if n > 3 else "f17k",
                     "skin_tone": "56" if n > 3 else "", "fitzpatrick_scale": -1 if n > 3 else 2,
                     "Plaque": 1, "Scale": 1.0, "Cyst": 0,
                     "Do not consider this image": 0})  # fmt: skip
    table(root / "skincap_v240623.csv", rows)


def skincot(root: Path) -> None:
    for n in range(5):
        name = f"{CLASS}/hives-acute-{n}.jpg"
        picture(root / "SkinCoT" / "images" / name, n)
        for language in ("EN", "ZH"):
            path = root / "SkinCoT" / language / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"<think> wheals {n} </think> urticaria", encoding="utf-8")


def dermbench(root: Path) -> None:
    records = []
    for n in range(5):
        name = f"{CLASS}/hives-{n}.jpg"
        path = root / "data" / "cot" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"<think> wheals {n}\r\n </think> Urticaria.".encode())
        records.append({"id": f"dermbench_{n}", "source": "DermNet test set", "split": "test",
                        "category": CLASS, "diagnosis": "urticaria", "dermnet_image_path": name,
                        "cot": f"data/cot/{name}.txt",
                        "cot_sha256": hashlib.sha256(path.read_bytes()).hexdigest()})  # fmt: skip
    json_lines(root / "data" / "manifest" / "dermbench_test.jsonl", records)


def corpus_row(n: int, **changes: object) -> dict[str, Any]:
    """A row of a published corpus."""
    content = BytesIO()
    Image.new("RGB", (6, 5), (200, n, 90)).save(content, format="PNG")
    row = {"id": f"c{n}", "dataset": "ham10000", "group": f"g{n // 2}", "diagnosis": "eczema",
           "site": "arm", "age": None, "tone": "dark", "fitzpatrick": 5,
           "images": [{"bytes": content.getvalue(), "path": f"row-{n}.png"}],
           "image_sha256": ["0"], "findings": [{"slot": "colour", "value": "red"}],
           "narrative": f"<think> wheals {n} </think> eczema", "synthetic": False,
           "narrator": "offline", "corrected": False}  # fmt: skip
    return {**row, **changes}


def shard(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def dermcot(root: Path) -> None:
    shard(root / "data" / "train-00000-of-00002.parquet", [corpus_row(0), corpus_row(1)])
    shard(root / "data" / "train-00001-of-00002.parquet", [corpus_row(2), corpus_row(3)])
    shard(root / "data" / "certified-00000-of-00001.parquet", [corpus_row(4)])


def folder(root: Path) -> None:
    rows = []
    for n in range(5):
        picture(root / "sub" / f"{n}.png", n)
        rows.append({"file_name": f"sub/{n}.png", "label": "eczema", "group": f"g{n // 2}",
                     "findings.colour": "red", "context.site": "arm",
                     "camera": "phone"})  # fmt: skip
    table(root / "metadata.csv", rows)


BUILDERS: dict[str, Callable[[Path], None]] = {
    builder.__name__: builder
    for builder in (
        ham10000, pad_ufes_20, dermnet, fitzpatrick17k, ddi, derm7pt, isic_2019, scin, skincap,
        skincot, dermbench, dermcot, folder,
    )
}  # fmt: skip

# The table that names the pictures, and the columns that hold id, group and label.
TABLES: dict[str, tuple[str, str, str]] = {
    "ham10000": ("HAM10000_metadata.csv", "image_id", "dx"),
    "pad_ufes_20": ("metadata.csv", "img_id", "diagnostic"),
    "fitzpatrick17k": ("fitzpatrick17k.csv", "md5hash", "label"),
    "ddi": ("ddi_metadata.csv", "DDI_file", "disease"),
    "derm7pt": ("meta/meta.csv", "case_num", "diagnosis"),
    "isic_2019": ("ISIC_2019_Training_GroundTruth.csv", "image", "MEL"),
    "scin": ("dataset/scin_cases.csv", "case_id", ""),
    "skincap": ("skincap_v240623.csv", "id", ""),
}


def build(name: str, root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    BUILDERS[name](root)
    return root
