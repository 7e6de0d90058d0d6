"""Procedurally rendered skin with known findings. For research, not for diagnosis."""

from skingpt_r1.synthetic.camera import MODALITIES
from skingpt_r1.synthetic.conditions import CONDITIONS, CONFUSABLE, Condition
from skingpt_r1.synthetic.render import RenderedCase, render_case
from skingpt_r1.synthetic.sheet import contact_sheet
from skingpt_r1.synthetic.write import iterate_cases, write_cases

__all__ = [
    "CONDITIONS",
    "CONFUSABLE",
    "MODALITIES",
    "Condition",
    "RenderedCase",
    "contact_sheet",
    "iterate_cases",
    "render_case",
    "write_cases",
]
