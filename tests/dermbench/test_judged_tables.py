"""The tables beside the scores count what the scores count."""

from made_run import write_card, write_run

from skingpt_r1.dermbench.reading import read_run
from skingpt_r1.dermbench.tables import label_rows


def test_diagnoses_of_questions_that_a_system_was_trained_on_do_not_count(tmp_path):
    write_run(tmp_path, cases=6, systems=("good", "base"))
    write_card(tmp_path, "good", overlapping=("case-0", "case-3"))
    rows = {row.system: row for row in label_rows(read_run(tmp_path))}
    assert (rows["good"].n, rows["base"].n) == (4, 6)
    assert sum(rows["good"].outcomes.values()) == 4
