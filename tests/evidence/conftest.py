"""Rendered pictures and the embedded verifier, loaded once."""

import pytest
from PIL import Image

from skingpt_r1.evidence.verify import load_verifier
from skingpt_r1.render.case import plan_case, render

SEED = 60_001  # of no picture that the reader was taught on


@pytest.fixture(scope="session")
def verifier():
    return load_verifier()


@pytest.fixture(scope="session")
def plans():
    return [plan_case(index, SEED) for index in range(64)]


@pytest.fixture(scope="session")
def pictures(plans):
    return [Image.fromarray(render(plan)) for plan in plans]


@pytest.fixture(scope="session")
def facts(plans):
    return [dict(plan.findings) for plan in plans]
