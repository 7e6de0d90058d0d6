"""Publication: what is read back is what went in, and what must not be published is refused."""

import logging
import os
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import datasets
import pytest
from PIL import Image

from finished_corpus import make_corpus, record_of
from skingpt_r1.case import Split
from skingpt_r1.data import load_cases
from skingpt_r1.data.intake import open_image
from skingpt_r1.dermcot.certify import certified, history_path, simulate_raters
from skingpt_r1.dermcot.corpus import corpus_path, read_corpus
from skingpt_r1.dermcot.publish import Options, _groups, features, publish
from skingpt_r1.errors import DatasetError
from skingpt_r1.ratings.certification import CertifyRules
from skingpt_r1.ratings.rating import SCORE_COLUMNS
from skingpt_r1.records import append_record
from skingpt_r1.render.layouts import write_cases
from skingpt_r1.text.rubric import DIMENSIONS

RULES = CertifyRules()
OPTIONS = Options(name="small")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certified corpus; the second held-out narrative is corrected, the first rejected."""
    folder = tmp_path_factory.mktemp("corpus")
    slips = {0: "wrong diagnosis 0.9", 1: "vague wording 0.375"}
    make_corpus(folder, train=7, held_out=5, slips=slips)
    simulate_raters(folder, RULES, raters=4, seed=0)
    return folder


@pytest.fixture(scope="module")
def published(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "published"
    publish(corpus, out, OPTIONS)
    return out


def files(folder: Path) -> dict[str, bytes]:
    """Every file of a published corpus but the unpacked pictures."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in found}
    return {n: path.read_bytes() for n, path in names.items() if not n.startswith("pictures")}


def test_load_dataset_reads_it_back_equal(corpus: Path, published: Path, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(published), cache_dir=str(tmp_path))
    assert set(loaded) == {"train", "certified"}
    assert loaded["train"].features == features()
    assert [row["id"] for row in loaded["train"]] == [r.id for r in read_corpus(corpus)]
    for row, record in zip(loaded["train"], read_corpus(corpus), strict=True):
        assert row["narrative"] == record.narrative
        assert row["diagnosis"] == record.diagnosis
        assert row["tone"] == record.tone
        assert row["fitzpatrick"] == record.fitzpatrick
        assert {item["slot"]: item["value"] for item in row["findings"]} == record.findings
        assert list(row["evaluator_scores"].values()) == [record.scores[d] for d in DIMENSIONS]
        assert row["certified_scores"] is None
        assert row["ratings"] == []
        (image,) = row["images"]
        source = open_image(corpus / record.images[0])
        assert (image.mode, image.tobytes()) == ("RGB", source.tobytes())
        assert not image.info
    held = list(certified(corpus))
    assert 0 < len(held) < 5
    for row, (record, decision, ratings) in zip(loaded["certified"], held, strict=True):
        assert row["narrative"] == record.narrative
        assert list(row["certified_scores"].values()) == list(decision.consensus or ())
        assert row["corrected"] == (decision.corrected is not None)
        assert [rating["simulated"] for rating in row["ratings"]] == [True] * len(ratings)
        assert {rating["rater"][:15] for rating in row["ratings"]} == {"simulated-rater"}
        scores = [tuple(rating["scores"][name] for name in SCORE_COLUMNS)
                  for rating in row["ratings"]]  # fmt: skip
        assert scores == [rating.six.values for rating in ratings]


def test_cases_for_distillation(corpus: Path, published: Path) -> None:
    cases = load_cases("dermcot", published)
    assert cases == load_cases("dermcot", published)
    train = [case for case in cases if case.split is Split.TRAIN]
    held = [case for case in cases if case.split is Split.TEST]
    assert [case.id for case in train] == [record.id for record in read_corpus(corpus)]
    assert [case.narrative for case in held] == [r.narrative for r, _, _ in certified(corpus)]
    for case, record in zip(train, read_corpus(corpus), strict=True):
        assert case.findings == record.findings
        assert case.context == record.context
        assert case.label == record.diagnosis
        assert case.attributes["source"] == "synthetic"
        with Image.open(case.images[0]) as image:
            assert image.tobytes() == open_image(corpus / record.images[0]).tobytes()


def test_same_corpus_gives_the_same_bytes(corpus: Path, published: Path, tmp_path: Path) -> None:
    publish(corpus, tmp_path / "again", OPTIONS)
    assert files(tmp_path / "again") == files(published)
    done = publish(corpus, published, OPTIONS)
    assert done.existed
    with pytest.raises(DatasetError, match="exists and is not this corpus"):
        publish(corpus, published, Options(name="other"))


def test_shards(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skingpt_r1.dermcot.publish.SHARD_CASES", 3)
    monkeypatch.setattr("skingpt_r1.dermcot.publish._GROUP_ROWS", 2)
    publish(corpus, tmp_path / "out", OPTIONS)
    names = sorted(path.name for path in (tmp_path / "out" / "data").glob("train-*"))
    assert names == [f"train-0000{n}-of-00003.parquet" for n in range(3)]
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert [row["id"] for row in loaded["train"]] == [r.id for r in read_corpus(corpus)]
    (tmp_path / "out" / "data" / names[1]).unlink()
    with pytest.raises(DatasetError, match="shards of train are missing; 2 of 00003"):
        load_cases("dermcot", tmp_path / "out")


def test_card(published: Path) -> None:
    card = (published / "README.md").read_text("utf-8")
    for words in (
        "license: apache-2.0",
        "synthetic",
        "For research, not for diagnosis.",
        "The raters are SIMULATED",
        "No dermatologist has seen this corpus",
        "Out of scope",
        "| diagnosis | train | certified |",
        "| site | train | certified |",
        "| tone | train | certified |",
        "7 of 7 cases of `train`",
    ):
        assert words in card


@pytest.mark.filterwarnings("ignore")
def test_croissant_is_valid(corpus: Path, published: Path, caplog) -> None:
    croissant = pytest.importorskip("mlcroissant")
    caplog.set_level(logging.ERROR)
    found = croissant.Dataset(str(published / "croissant.json"))
    issues = found.metadata.ctx.issues
    assert not issues.errors
    assert {str(w).split('"')[1] for w in issues.warnings if '"' in str(w)} <= {
        "https://schema.org/datePublished"
    }
    rows = list(found.records("train"))
    assert [row["train/id"].decode() for row in rows] == [r.id for r in read_corpus(corpus)]
    text = (published / "croissant.json").read_text("utf-8")
    assert "SIMULATED" in text
    assert "Synthetic" in text


def test_a_corpus_that_is_not_disjoint_is_refused(tmp_path: Path) -> None:
    folder = make_corpus(tmp_path / "c", train=3, held_out=3, repeat_group=True)
    copy = next(read_corpus(folder, "held_out"))
    append_record(corpus_path(folder), copy.model_copy(update={"id": "other", "group": "new"}))
    simulate_raters(folder, RULES, raters=4, seed=0)
    with pytest.raises(DatasetError, match="not disjoint in 2 places") as caught:
        publish(folder, tmp_path / "out", OPTIONS)
    assert "same group" in caught.value.problems[0]
    assert "identical file" in caught.value.problems[1]
    assert not list(tmp_path.glob("*out*"))


def test_uncertified_cases_stay_out(tmp_path: Path) -> None:
    folder = make_corpus(tmp_path / "c", train=3, held_out=3, repeat_group=True)
    done = publish(folder, tmp_path / "out", OPTIONS)
    assert done.cases == {"train": 3, "certified": 0}
    assert "No case of this corpus is certified" in (tmp_path / "out/README.md").read_text("utf-8")
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert set(loaded) == {"train"}


@pytest.mark.parametrize("source", ["ddi", "fitzpatrick17k", "dermnet", "folder", "somebody's"])
def test_closed_pictures_are_refused(source: str, tmp_path: Path) -> None:
    folder = make_corpus(tmp_path / "c", train=2, held_out=1, dataset=source)
    with pytest.raises(DatasetError, match="--without-images") as caught:
        publish(folder, tmp_path / "out", OPTIONS)
    assert caught.value.problems[0].startswith(f"{source}: ")
    publish(folder, tmp_path / "out", Options(name="texts", with_images=False))
    with pytest.raises(DatasetError, match="missing files: 2") as missing:
        load_cases("dermcot", tmp_path / "out")
    assert "published without its pictures (1)" in missing.value.problems[0]
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert loaded["train"]["images"][:] == [[], []]
    assert len(loaded["train"][0]["image_sha256"]) == 1


def test_own_pictures_need_stated_terms(tmp_path: Path) -> None:
    folder = make_corpus(tmp_path / "c", train=2, held_out=1, dataset="folder")
    stated = Options(name="own", licences={"folder": "CC BY 4.0"})
    publish(folder, tmp_path / "out", stated)
    assert "license: cc-by-4.0" in (tmp_path / "out" / "README.md").read_text("utf-8")
    with pytest.raises(DatasetError, match="for your own pictures only"):
        publish(folder, tmp_path / "x", Options(name="own", licences={"ddi": "CC0"}))
    with pytest.raises(DatasetError, match="no case comes from it"):
        publish(folder, tmp_path / "x", Options(name="own", licences={"mine": "CC0"}))


def test_several_pictures_and_unknown_values(tmp_path: Path) -> None:
    folder = make_corpus(tmp_path / "c", train=1, held_out=1)
    extra = write_cases(tmp_path / "c" / "more", 2, seed=9, size=64)
    case = extra[0].__class__(
        id="two", images=tuple(c.images[0] for c in extra), dataset="synthetic", group="two",
        label="wart", findings={},
    )  # fmt: skip
    record = record_of(case, folder, "candidate", context={}, scores=None, evaluator=None)
    append_record(corpus_path(folder), record)
    publish(folder, tmp_path / "out", OPTIONS)
    found = load_cases("dermcot", tmp_path / "out")[-1]
    assert len(found.images) == 2
    assert (found.tone, found.fitzpatrick, found.context, found.findings) == (None, None, {}, {})
    loaded = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    row = loaded["train"][-1]
    assert (row["site"], row["age"], row["evaluator_scores"], row["evaluator"]) == (None,) * 4
    assert len(row["images"]) == 2
    assert "| unknown | 1 | 0 |" in (tmp_path / "out" / "README.md").read_text("utf-8")


KILLED = """
import os, signal, sys
from pathlib import Path
from skingpt_r1.dermcot import publish as module
seen = 0
def die(stage, done, total):
    global seen
    seen += stage.startswith("writing")
    if seen == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
module.publish(Path(sys.argv[1]), Path(sys.argv[2]), module.Options(name="small"), die)
"""


@pytest.mark.parametrize("after", [1, 8])
def test_a_killed_publication_leaves_nothing_that_loads(
    corpus: Path, published: Path, tmp_path: Path, after: int
) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, str(corpus), str(out), str(after)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert not out.exists()
    (left,) = tmp_path.iterdir()
    with pytest.raises(FileNotFoundError, match="doesn't contain any data files"):
        datasets.load_dataset(str(left), cache_dir=str(tmp_path / "cache"))
    publish(corpus, out, OPTIONS)
    assert files(out) == files(published)
    assert not left.exists()


def test_memory_does_not_hold_the_pictures(corpus: Path, tmp_path: Path) -> None:
    """The writer hands on a few rows at a time, so that a big corpus needs no more memory."""
    rows = [{"images": [{"bytes": b"x" * 5_000_000}]} for _ in range(20)]
    groups = list(_groups(rows))
    assert max(sum(len(i["bytes"]) for r in g for i in r["images"]) for g in groups) <= 20_000_000
    assert sum(map(len, groups)) == 20


def test_read_only_place(corpus: Path, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        (tmp_path / "file").write_text("")
        with pytest.raises(DatasetError, match="cannot write"):
            publish(corpus, tmp_path / "file" / "out", OPTIONS)
        return
    tmp_path.chmod(0o500)
    with pytest.raises(DatasetError, match="cannot write"):
        publish(corpus, tmp_path / "out", OPTIONS)


def test_history_of_other_texts(tmp_path: Path) -> None:
    folder = make_corpus(tmp_path / "c", train=2, held_out=2)
    simulate_raters(folder, RULES, raters=4, seed=0)
    assert history_path(folder).is_file()
    held = corpus_path(folder, "held_out")
    held.write_text(held.read_text("utf-8").replace("Reasoning: ", "Reasoning: So: "), "utf-8")
    with pytest.raises(DatasetError, match="is not the one that was rated"):
        publish(folder, tmp_path / "out", OPTIONS)


def test_pictures_are_written_anew(published: Path) -> None:
    cases = load_cases("dermcot", published)
    for case in cases:
        content = case.images[0].read_bytes()
        assert b"eXIf" not in content
        assert b"tEXt" not in content
        Image.open(BytesIO(content)).verify()


def test_hostile_texts_stay_texts_in_everything_that_is_published(tmp_path: Path) -> None:
    """A label, a site and the name of a served model are whatever somebody wrote."""
    from markdown_it import MarkdownIt

    evil = "wart | <script>alert(1)</script>\n\n# [x](http://example.org)"
    corpus = make_corpus(tmp_path / "corpus", train=2, held_out=0)
    path = corpus_path(corpus, "candidate")
    records = list(read_corpus(corpus, "candidate"))
    path.unlink()
    for record in records:
        made = record.reason.model_copy(update={"narrator": f"http://x/v1#m [`{evil}`]"})
        changes = {"diagnosis": evil, "context": {"site": evil, "age": "=1+1"}, "reason": made}
        append_record(path, record.model_copy(update=changes))
    out = publish(corpus, tmp_path / "out", OPTIONS._replace(name="small | <b>")).folder
    card = (out / "README.md").read_text("utf-8")
    tokens = MarkdownIt("commonmark").enable("table").parse(card.split("---\n", 2)[2])
    parts = [child for token in tokens for child in token.children or []]
    assert {token.type for token in tokens} & {"html_block"} == set()
    assert {part.type for part in parts} & {"html_inline", "link_open", "image"} == set()
    headings = [tokens[place + 1].content for place, t in enumerate(tokens) if t.tag == "h1"]
    assert [text.replace("\\", "") for text in headings if text] == ["small | <b>"]
    loaded = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"))["train"]
    assert set(loaded["diagnosis"]) == {evil}
    assert set(loaded["site"]) == {evil}
