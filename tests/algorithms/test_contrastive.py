"""InfoNCE: by brute force, its bounds, and the mutual information of a known table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algorithms.common import contrastive
from tests.compiling import optimised

SIZE = 6


@pytest.fixture(scope="module")
def scores() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32) * 3


def by_hand(scores: np.ndarray, places: list[int]) -> float:
    """The loss of the pairs in such places."""
    losses = []
    for i in places:
        among = sum(np.exp(np.float64(scores[i, j])) for j in places)
        losses.append(-np.log(np.exp(np.float64(scores[i, i])) / among))
    return float(np.mean(losses))


def test_it_is_the_cross_entropy_of_the_pairs(scores):
    found = contrastive.info_nce(jnp.asarray(scores))
    np.testing.assert_allclose(found, by_hand(scores, list(range(SIZE))), rtol=1e-5)
    # It tells anchors from candidates.
    assert abs(found - contrastive.info_nce(jnp.asarray(scores.T))) > 0.1


def test_pairs_that_are_not_valid_count_neither_as_anchors_nor_as_candidates(scores):
    valid = np.array([True, False, True, True, False, True])
    found = contrastive.info_nce(jnp.asarray(scores), jnp.asarray(valid))
    np.testing.assert_allclose(found, by_hand(scores, [0, 2, 3, 5]), rtol=1e-5)


def test_without_valid_pairs_the_loss_and_its_gradient_are_zero(scores):
    none = jnp.zeros(SIZE, bool)
    loss, gradient = jax.value_and_grad(contrastive.info_nce)(jnp.asarray(scores), none)
    assert loss == 0.0 and not np.any(gradient)


def test_bilinear_scores():
    x, w, y = (np.random.default_rng(i).normal(size=(3, 3)) for i in range(3))
    expected = [[x[i] @ w @ y[j] for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(contrastive.bilinear(x, w, y), expected, rtol=1e-5)


def test_bounds():
    # Scores that know nothing, and scores that know everything.
    nothing = contrastive.info_nce(jnp.zeros((SIZE, SIZE)))
    np.testing.assert_allclose(nothing, np.log(SIZE), rtol=1e-6)
    np.testing.assert_allclose(contrastive.info_nce(50.0 * jnp.eye(SIZE)), 0.0, atol=1e-6)


def test_functions_of_the_anchor_change_nothing(scores):
    moved = scores + np.arange(SIZE, dtype=np.float32)[:, None]
    np.testing.assert_allclose(
        contrastive.info_nce(jnp.asarray(moved)), contrastive.info_nce(jnp.asarray(scores)), 1e-5
    )


@optimised()
def test_the_best_scores_give_the_mutual_information():
    # Two states with two actions lead to three states with such probabilities.
    after = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4], [0.05, 0.05, 0.9]])
    before = np.array([0.4, 0.3, 0.2, 0.1])
    joint = before[:, None] * after
    ratio = np.log(after / joint.sum(axis=0))
    information = float(np.sum(joint * ratio))
    count = 1000
    drawn = np.random.default_rng(0).choice(12, (100, count), p=joint.ravel())

    @jax.jit
    def bound(table):
        def one(places):
            scores = table[places // 3][:, places % 3]
            return jnp.log(count) - contrastive.info_nce(scores)

        return jnp.mean(jax.lax.map(one, jnp.asarray(drawn)))

    best = float(bound(jnp.asarray(ratio)))
    assert information > 0.3
    np.testing.assert_allclose(best, information, atol=0.01)
    # Every other table says less, p(y|x) without its marginal as well.
    for other in (np.log(after), 0.5 * ratio, 2.0 * ratio, 0.0 * ratio):
        assert float(bound(jnp.asarray(other))) < best - 0.01
