"""FixPO: its divergences and losses by hand, the trust region after every update, and it learns."""

from dataclasses import fields

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import envs
from algorithms import fixpo, ppo
from algorithms.common.divergence import kl
from algorithms.common.parts import in_parts
from algorithms.common.policies import Bernoulli, Categorical, Gaussian
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = fixpo.Config(num_envs=4, num_steps=32, num_minibatches=2, total_timesteps=128_000)
# Steps so large that the primary phase leaves the trust region at once.
WILD = SMALL.replace(learning_rate=3e-2, kl_limit=0.05, penalty_coef=0.1)

init = jax.jit(fixpo.init)
update = jax.jit(fixpo.update)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*envs.make("gymnax/CartPole-v1"))


def test_divergences():
    old, new = np.array([[0.5, -1.0, 2.0]]), np.array([[0.0, 0.3, 1.0]])
    p, q = (np.exp(x) / np.exp(x).sum() for x in (old, new))
    found = kl(Categorical(jnp.array(old)), Categorical(jnp.array(new)))
    assert float(found[0]) == pytest.approx(float((p * np.log(p / q)).sum()), rel=1e-5)

    x = np.linspace(-12.0, 12.0, 20_001)
    wide, narrow = norm(0.5, 1.3), norm(-0.2, 0.8)
    expected = np.trapezoid(wide.pdf(x) * (wide.logpdf(x) - narrow.logpdf(x)), x)
    one = Gaussian(jnp.array([[0.5, 3.0]]), jnp.log(jnp.array([1.3, 1.0])))
    other = Gaussian(jnp.array([[-0.2, 3.0]]), jnp.log(jnp.array([0.8, 1.0])))
    assert float(kl(one, other)[0]) == pytest.approx(expected, rel=1e-4)

    up, down = 1 / (1 + np.exp(-old)), 1 / (1 + np.exp(old))
    up_new, down_new = 1 / (1 + np.exp(-new)), 1 / (1 + np.exp(new))
    expected = (up * np.log(up / up_new) + down * np.log(down / down_new)).sum()
    found = kl(Bernoulli(jnp.array(old)), Bernoulli(jnp.array(new)))
    assert float(found[0]) == pytest.approx(expected, rel=1e-5)

    for policy in (one, Categorical(jnp.array(old)), Bernoulli(jnp.array(old))):
        assert float(kl(policy, policy)[0]) == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(TypeError, match="heads: got Gaussian and Categorical"):
        kl(one, Categorical(jnp.array(old)))


def test_parts_are_put_together_in_order():
    samples = {"x": jnp.arange(24.0).reshape(12, 2)}
    found = in_parts(lambda part: jnp.cumsum(part["x"], axis=1), samples, 3)
    np.testing.assert_array_equal(found, np.cumsum(samples["x"], axis=1))


def test_loss_of_a_minibatch_worked_out_by_hand():
    config = fixpo.Config(norm_adv=False, shared_trunk=True)
    params = {
        "dense_0": {"kernel": jnp.zeros((1, 64)), "bias": jnp.zeros(64)},
        "dense_1": {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)},
        "actor": {"kernel": jnp.zeros((64, 2)), "bias": jnp.log(jnp.array([0.75, 0.25]))},
        "critic": {"kernel": jnp.zeros((64, 1)), "bias": jnp.array([1.0])},
    }
    batch = fixpo.Batch(
        seen=jnp.zeros((3, 1)),
        action=jnp.array([0, 1, 1]),
        outputs=jnp.log(jnp.array([[0.5, 0.5], [0.5, 0.5], [0.75, 0.25]])),
        log_prob=jnp.log(jnp.array([0.5, 0.5, 0.25])),
        advantage=jnp.array([1.0, -2.0, 3.0]),
        target=jnp.array([3.0, 0.0, 1.5]),
    )
    # Ratios 1.5, 0.5, 1, which nothing clips.
    policy_loss = -(1.5 - 1.0 + 3.0) / 3
    each = 0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    value_loss = 0.5 * (4.0 + 1.0 + 0.25) / 3
    task = Task(env=None, params=None)
    terms = fixpo.Terms(ent_coef=0.1, multiplier=jnp.float32(7.0))
    total, metrics = fixpo.loss(params, batch, terms, config, task)
    expected = policy_loss + 7.0 * 2 / 3 * each - 0.1 * entropy + 0.5 * value_loss
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(metrics["minibatch_max_kl"]) == pytest.approx(each, rel=1e-5)
    alone, largest = fixpo.penalty(params, batch, terms, config, task)
    assert float(alone) == pytest.approx(7.0 * 2 / 3 * each, rel=1e-5)
    assert float(largest) == pytest.approx(each, rel=1e-5)


def test_beta_rises_where_the_largest_divergence_is_above_its_share_of_the_limit():
    config = fixpo.Config(kl_limit=0.2, dual_margin=2.0, dual_rate=0.01)
    params = {"w": jnp.ones(2)}
    optimise = fixpo.optimiser(config, 0.1)
    for start, max_kl, expected in ((1.0, 0.11, 1.01), (1.0, 0.09, 0.99), (0.004, 0.0, 0.0)):
        multiplier = jnp.float32(start)
        dual = fixpo.optax.adam(config.dual_rate).init(multiplier)
        learner = fixpo.Learner(params, optimise.init(params), multiplier, dual)
        new = fixpo.descend(learner, params, jnp.float32(max_kl), optimise, config)
        assert float(new.multiplier) == pytest.approx(expected, abs=1e-5)
        np.testing.assert_allclose(new.params["w"], 0.9, atol=1e-4)  # Adam's first step


def divergence_of_update(state, new, config, task):
    """KL(old || new) of every sample of the rollout of an update, without the file's own code."""
    rollout_key = jax.random.split(state.key, 3)[1]
    _, rollout, _ = jax.jit(fixpo.collect)(state, rollout_key, config, task)
    seen = rollout.seen.reshape(-1, rollout.seen.shape[-1])
    outputs = [
        np.asarray(fixpo.actor_critic.apply(s.params, seen, config.network)[0], np.float64)
        for s in (state, new)
    ]
    if task.continuous:
        (old, new_mean), (p, q) = outputs, (np.exp(s.params["log_std"]) for s in (state, new))
        each = np.log(q / p) + (p**2 + (old - new_mean) ** 2) / (2 * q**2) - 0.5
        return each.sum(axis=-1)
    logs = [x - np.log(np.exp(x).sum(axis=-1, keepdims=True)) for x in outputs]
    return (np.exp(logs[0]) * (logs[0] - logs[1])).sum(axis=-1)


@pytest.mark.parametrize("env", ["gymnax/CartPole-v1", "gymnax/Pendulum-v1"])
def test_no_sample_is_beyond_the_limit_after_the_fix_up_but_some_are_before(env):
    task = Task(*envs.make(env))
    state = init(jax.random.key(0), WILD, task)
    without, alone = update(state, WILD.replace(fixup_passes=0), task)
    new, metrics = update(state, WILD, task)
    before = divergence_of_update(state, without, WILD, task)
    after = divergence_of_update(state, new, WILD, task)
    assert before.max() > 2 * WILD.kl_limit
    assert 0.0 < after.max() <= WILD.kl_limit
    for found in (alone["max_kl"], alone["primary_max_kl"], metrics["primary_max_kl"]):
        assert float(found) == pytest.approx(before.max(), rel=1e-3)
    assert float(metrics["max_kl"]) == pytest.approx(after.max(), rel=1e-3)
    assert float(alone["fixup_steps"]) == 0.0 < float(metrics["fixup_steps"])
    assert float(metrics["fixup_share"]) == float(metrics["fixup_steps"]) / 8
    assert float(metrics["fixup_capped"]) == 0.0

    # A limit that no number of steps reaches.
    _, capped = update(state, WILD.replace(kl_limit=1e-12, fixup_passes=3), task)
    assert float(capped["fixup_capped"]) == 1.0
    assert float(capped["fixup_steps"]) == 3 * WILD.num_minibatches
    # Nothing is done where nothing is wrong.
    _, idle = update(state, WILD.replace(kl_limit=1e3), task)
    assert float(idle["fixup_steps"]) == float(idle["fixup_capped"]) == 0.0


def test_trials_end_their_fix_ups_on_their_own(cartpole):
    limits = (0.01, 0.05, 1e3)
    configs = [WILD.replace(kl_limit=limit) for limit in limits]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(x) for x in leaves]), *configs)
    state = init(jax.random.key(0), WILD, cartpole)
    together = jax.jit(jax.vmap(fixpo.update, (None, 0, None)))(state, stacked, cartpole)
    steps = []
    for i, config in enumerate(configs):
        new, metrics = update(state, config, cartpole)
        steps.append(float(metrics["fixup_steps"]))
        assert float(together[1]["fixup_steps"][i]) == steps[-1]
        for one, other in zip(jax.tree.leaves(new.params), jax.tree.leaves(together[0].params)):
            np.testing.assert_allclose(one, other[i], atol=2e-4)
    assert steps[0] > steps[1] > steps[2] == 0.0


def test_without_penalty_and_fix_up_it_is_ppo_without_clipping(cartpole):
    config = SMALL.replace(penalty_coef=0.0, dual_rate=0.0, fixup_passes=0)
    names = {f.name for f in fields(fixpo.Config)} & {f.name for f in fields(ppo.Config)}
    other = ppo.Config(clip_coef=1e6, **{name: getattr(config, name) for name in names})
    new, metrics = update(init(jax.random.key(0), config, cartpole), config, cartpole)
    state = jax.jit(ppo.init)(jax.random.key(0), other, cartpole)
    expected, other_metrics = jax.jit(ppo.update)(state, other, cartpole)
    jax.tree.map(
        lambda one, two: np.testing.assert_allclose(one, two, atol=1e-5),
        new.params,
        expected.params,
    )
    assert float(metrics["loss"]) == pytest.approx(float(other_metrics["loss"]), rel=1e-4)


def test_sizes_that_do_not_fit(cartpole):
    for changes, message in (
        ({"num_minibatches": 3}, "num_minibatches: 3 does not divide"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one rollout"),
    ):
        with pytest.raises(ValueError, match=message):
            fixpo.init(jax.random.key(0), SMALL.replace(**changes), cartpole)
    walls = Task(*envs.make("gymnax/Breakout-MinAtar"))
    with pytest.raises(ValueError, match="norm_obs: got True, allowed: False"):
        fixpo.init(jax.random.key(0), SMALL.replace(norm_obs=True, network="minatar"), walls)


def test_cartpole_is_learned_inside_the_trust_region():
    """At least 400 of 500 after 61 k steps; 18 seeds had 484 to 500. Random play has about 22.

    Broken versions: a weight of the penalty that stays at 100 has 28, a fix-up of minibatches
    within the limit 95 to 122, a critic that does not learn 90 (worst seed).
    """
    config, task = learning("fixpo")
    _, metrics = run(fixpo, config, task)
    assert metrics["max_kl"].max() <= config.kl_limit
    assert metrics["primary_max_kl"].max() > config.kl_limit
    assert metrics["fixup_capped"].max() == 0.0
    assert final(metrics).min() > 400, final(metrics)
