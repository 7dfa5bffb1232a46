"""Domains, conditions, grids."""

import itertools
import math

import numpy as np
import pytest

from sweeps import space
from sweeps.space import Space, StudyError

# clip exists only with norm, eps only with clip "on" and norm.
NESTED = Space(
    {
        "eps": space.conditional(space.choice(1, 2, 3), {"clip": ["on"]}),
        "clip": space.conditional(space.choice("on", "off"), {"norm": [True]}),
        "norm": space.choice(True, False),
        "size": space.quantised(8, 24, 8),
    }
)


def test_the_middle_of_the_cube_is_the_median():
    spaces = {
        space.uniform(2.0, 4.0): [2.0, 2.5, 3.0],
        space.loguniform(1e-4, 1e-2): [1e-4, 10**-3.5, 1e-3],
        space.choice("a", "b", "c", "d"): ["a", "b", "c"],
        space.quantised(0.8, 0.95, 0.05): [0.8, 0.85, 0.9],
    }
    for domain, expected in ((d, v) for d, v in zip(spaces, spaces.values())):
        assert [domain.at(u) for u in (0.0, 0.25, 0.5)] == pytest.approx(expected)


