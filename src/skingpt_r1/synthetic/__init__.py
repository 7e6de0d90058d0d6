"""Procedurally rendered skin with known findings. For research, not for diagnosis."""

from skingpt_r1.synthetic.camera import MODALITIES
from skingpt_r1.synthetic.conditions import CONDITIONS, CONFUSABLE, Condition
from skingpt_r1.synthetic.damage import Damage, draw_damage, inject, true_scores, write_damaged
from skingpt_r1.synthetic.layouts import (
    LAYOUTS,
    write_fitzpatrick17k,
    write_ham10000,
    write_pad_ufes_20,
)
from skingpt_r1.synthetic.raters import Rater, make_raters, mean_scores, rate
from skingpt_r1.synthetic.render import RenderedCase, render_case
from skingpt_r1.synthetic.sheet import contact_sheet
from skingpt_r1.synthetic.write import iterate_cases, write_cases

__all__ = [
    "CONDITIONS",
    "CONFUSABLE",
    "LAYOUTS",
    "MODALITIES",
    "Condition",
    "Damage",
    "Rater",
    "RenderedCase",
    "contact_sheet",
    "draw_damage",
    "inject",
    "iterate_cases",
    "make_raters",
    "mean_scores",
    "rate",
    "render_case",
    "true_scores",
    "write_cases",
    "write_damaged",
    "write_fitzpatrick17k",
    "write_ham10000",
    "write_pad_ufes_20",
]
