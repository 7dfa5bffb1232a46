"""Domains, conditions, grids."""

import itertools
import math

import numpy as np
import pytest

from sweeps import space
from sweeps.space import Space, StudyError

# Size apart, a chain: clip exists only with norm, eps only where clip is "on".
NESTED = Space(
    {
        "eps": space.conditional(space.choice(1, 2, 3), {"clip": ["on"]}),
        "clip": space.conditional(space.choice("on", "off"), {"norm": [True]}),
        "norm": space.choice(True, False),
        "size": space.quantised(8, 24, 8),
    }
)


@pytest.mark.parametrize(
    ("domain", "quarters"),
    [
        (space.uniform(2.0, 4.0), [2.0, 2.5, 3.0, 3.5]),
        (space.loguniform(1e-4, 1.0), [1e-4, 1e-3, 1e-2, 1e-1]),
        (space.choice("a", "b", "c", "d"), ["a", "b", "c", "d"]),
        (space.quantised(0.8, 0.95, 0.05), [0.8, 0.85, 0.9, 0.95]),
    ],
)
def test_a_quarter_of_the_cube_is_a_quarter_of_the_domain(domain, quarters):
    assert [domain.at(u) for u in (0.0, 0.25, 0.5, 0.75)] == pytest.approx(quarters)


def test_numbers_stay_inside_their_ends():
    for low, high in ((0.1, 0.3), (1e-5, 0.7), (3.0, 3.0000001)):
        for domain in (space.uniform(low, high), space.loguniform(low, high)):
            values = [domain.at(u) for u in (0.0, *np.linspace(0, 1, 999), np.nextafter(1, 0))]
            assert min(values) == low and max(values) <= high
            assert values[1:-1] == sorted(values[1:-1])
    assert space.choice(1, 2, 3).at(np.nextafter(1, 0)) == 3
    assert space.quantised(1, 3, 1).at(np.nextafter(1, 0)) == 3


def test_the_lattice_is_exact_and_each_value_equally_likely():
    domain = space.quantised(0.8, 1.0, 0.05)
    assert domain.values == (0.8, 0.85, 0.9, 0.95, 1.0)
    cells = [domain.at((i + 0.5) / 1000) for i in range(1000)]
    assert {value: cells.count(value) for value in cells} == dict.fromkeys(domain.values, 200)
    whole = space.quantised(64, 256, 64).values
    assert whole == (64, 128, 192, 256) and {type(value) for value in whole} == {int}
    assert space.quantised(1e-4, 5e-4, 1e-4).values[2] == 3e-4


def test_numbers_of_numpy_are_plain():
    domain = space.quantised(np.float64(0.5), np.float32(1.5), np.int64(1))
    assert domain == space.quantised(0.5, 1.5, 1)
    assert space.choice(*np.arange(2)).values == (0, 1)
    assert type(space.uniform(np.float32(0), np.int64(3)).high) is int


def test_parameters_exist_where_their_conditions_hold():
    row = {"eps": 0.5, "clip": 0.0, "norm": 0.0, "size": 0.99}
    assert NESTED.decode(row.values()) == {"eps": 2, "clip": "on", "norm": True, "size": 24}
    assert list(NESTED.decode(row.values())) == ["eps", "clip", "norm", "size"]
    off = NESTED.decode((row | {"clip": 0.5}).values())
    assert off == {"clip": "off", "norm": True, "size": 24}
    # Without norm there is no clip, so eps is gone as well although clip would be "on".
    assert NESTED.decode((row | {"norm": 0.5}).values()) == {"norm": False, "size": 24}


def test_a_grid_has_every_point_once():
    points = NESTED.grid()
    every = itertools.product((1, 2, 3), ("on", "off"), (True, False), (8, 16, 24))
    expected = []
    for eps, clip, norm, size in every:
        point = {"eps": eps, "clip": clip, "norm": norm, "size": size}
        if not (norm and clip == "on"):
            del point["eps"]
        if not norm:
            del point["clip"]
        if point not in expected:
            expected.append(point)
    assert len(points) == 3 * (3 + 1 + 1) == len(expected)
    assert all(point in points for point in expected)
    assert Space().grid() == [{}]


def test_the_last_parameter_of_a_grid_varies_fastest():
    two = Space({"a": space.choice(1, 2), "b": space.quantised(0, 2, 1)})
    assert [tuple(point.values()) for point in two.grid()] == [*itertools.product((1, 2), range(3))]


def test_ranges_in_a_grid():
    assert space.uniform(0, 1, points=11).lattice()[3] == 0.3
    assert space.loguniform(1e-4, 1e-2, points=3).lattice() == (1e-4, 1e-3, 1e-2)
    assert space.uniform(0.1, 0.7, points=2).lattice() == (0.1, 0.7)
    steps = np.diff(np.log(space.loguniform(3e-5, 0.7, points=9).lattice()))
    assert np.allclose(steps, steps[0], rtol=1e-9)
    grid = Space({"x": space.uniform(0, 1, points=5), "y": space.choice(1, 2)}).grid()
    assert len(grid) == 10


def test_a_grid_that_no_memory_holds_is_refused():
    large = Space({name: space.uniform(0, 1, points=1001) for name in "xyz"})
    with pytest.raises(StudyError, match=r"^space: the grid is too large, allowed: 1,000,000 po"):
        large.grid()


def test_values_that_a_parent_can_have():
    assert NESTED.possible("eps", "clip") == ("on",)
    assert NESTED.possible("eps", "norm") == (True,)
    assert NESTED.possible("size", "norm") is None
    never = Space(
        {
            "a": space.choice(1, 2),
            "b": space.conditional(space.choice(1, 2), {"a": [1]}),
            "c": space.conditional(space.choice(1, 2), {"a": [2], "b": [1]}),
        }
    )
    assert never.possible("c", "a") == ()


def test_true_is_not_one():
    with pytest.raises(StudyError, match=r"^space.b.when.a: got true, never a value of a"):
        Space({"a": space.choice(0, 1), "b": space.conditional(space.choice(1), {"a": [True]})})
    assert space.choice(1, True).values == (1, True)


def test_order_is_part_of_a_space():
    a, b = space.choice(1, 2), space.uniform(0, 1)
    assert Space({"a": a, "b": b}) == Space({"a": a, "b": b})
    assert Space({"a": a, "b": b}) != Space({"b": b, "a": a})
    assert Space({"a": a}) != Space({"a": space.conditional(a, {}), "b": b})


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        (
            {
                "a": space.conditional(space.choice(1, 2), {"c": [1]}),
                "b": space.conditional(space.choice(1, 2), {"a": [1]}),
                "c": space.conditional(space.choice(1, 2), {"b": [1]}),
            },
            r"space.\w.when: circular \(\w( -> \w){3}\), allowed: no way back to itself",
        ),
        (
            {"a": space.conditional(space.choice(1, 2), {"a": [1]})},
            r"space.a.when: circular \(a -> a\), allowed: no way back to itself",
        ),
        ({"a": 3}, r"space.a: got 3, allowed: a domain such as choice\(1, 2\)"),
        (
            {"a": space.choice(1), "b": space.conditional(space.choice(1), {"a": []})},
            r"space.b.when.a: got \[\], allowed: a list of values of a",
        ),
    ],
)
def test_spaces_that_cannot_be(domains, message):
    with pytest.raises(StudyError, match=f"^{message}$"):
        Space(domains)


def test_ends_that_are_no_numbers():
    for low, high in ((True, 2), (0, math.inf), (math.nan, 1), ("a", "b"), (1, 1)):
        with pytest.raises(StudyError, match=r"^uniform: got .*, allowed: numbers LOW < HIGH$"):
            space.uniform(low, high)
    with pytest.raises(StudyError, match=r"^quantised: got a step of -1, allowed: a number > 0$"):
        space.quantised(0, 1, -1)
    with pytest.raises(StudyError, match=r"^quantised: got .*, allowed: 1,000,000 values$"):
        space.quantised(0, 1, 1e-7)


def test_lists_are_values_too():
    pools = space.choice(["red"], ["red", "blue"])
    assert pools.values == (("red",), ("red", "blue"))
    assert space.to_data(Space({"colors": pools})) == {
        "colors": {"choice": [["red"], ["red", "blue"]]}
    }


def test_plain_data_and_back():
    domains = {
        "a": space.choice(1, "x", None),
        "b": space.loguniform(1e-4, 1e-2, points=3),
        "c": space.conditional(space.quantised(0.5, 1.5, 0.5), {"a": [1, "x"]}),
        "d": space.uniform(-1, 1),
    }
    assert Space(space.parse(space.to_data(Space(domains)))) == Space(domains)


def test_a_space_in_words():
    assert space.describe(space.choice(1, "x", None, True, (1, 2))) == "1 x null true [1, 2]"
    assert space.describe(space.loguniform(1e-4, 1, points=5)) == "loguniform 0.0001 1 (5 points)"
    assert space.describe_point({"a": "x", "b": False}) == "a = x, b = false"
