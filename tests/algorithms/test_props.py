"""PROPS: what the behaviour policy learns, the memory of old batches, PPO inside; and it learns."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from algorithms import ppo, props
from algorithms.common.policies import Categorical
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run
from tests.compiling import optimised

SMALL = props.Config(
    num_envs=4,
    num_steps=16,
    adapt_steps=8,
    num_minibatches=2,
    behaviour_minibatches=1,
    behaviour_epochs=2,
    total_timesteps=6400,
)
ARMS = jnp.log(jnp.array([0.4, 0.3, 0.2, 0.1]))

init = jax.jit(props.init)
update = jax.jit(props.update)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*envs.make("gymnax/CartPole-v1"))


def bandit_params(logits: jax.Array) -> dict:
    """A network whose outputs are the biases of its heads."""
    return {
        "dense_0": {"kernel": jnp.zeros((1, 64)), "bias": jnp.zeros(64)},
        "dense_1": {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)},
        "actor": {"kernel": jnp.zeros((64, len(logits))), "bias": logits},
        "critic": {"kernel": jnp.zeros((64, 1)), "bias": jnp.zeros(1)},
    }


def behaviour_gradient(logits, action, **options):
    """Gradient with respect to the logits of the behaviour policy."""
    config = props.Config(**options)
    target = Categorical(jnp.tile(ARMS, (len(action), 1)))

    def loss(logits):
        seen = jnp.ones((len(action), 1))
        return props.behaviour_loss(bandit_params(logits), seen, action, target, None, config)[0]

    return np.asarray(jax.grad(loss)(logits))


def test_gradient_of_the_behaviour_policy_by_hand():
    action = jnp.array([0, 0, 0, 1, 1, 3, 3, 3])
    seen = np.array([3, 2, 0, 3]) / 8
    pi = np.exp(ARMS)
    # At the target policy it is the excess of the actions that were seen.
    found = behaviour_gradient(ARMS, action, behaviour_kl_coef=5.0)
    np.testing.assert_allclose(found, seen - pi, atol=1e-6)

    # Elsewhere every sample counts with its ratio, unless that is below the clip.
    logits = ARMS + jnp.array([-1.0, 0.1, 0.2, 0.5])
    phi = np.asarray(jax.nn.softmax(logits))
    ratio = phi / pi
    assert ratio[0] < 0.7 and min(ratio[1:]) > 0.7 and ratio[3] > 1.3
    each = [ratio[a] * (np.eye(4)[a] - phi) * (ratio[a] > 0.7) for a in np.asarray(action)]
    found = behaviour_gradient(logits, action, behaviour_clip=0.3, behaviour_kl_coef=0.0)
    np.testing.assert_allclose(found, np.mean(each, axis=0), atol=1e-6)
    # The penalty's gradient is the difference of the policies.
    penalised = behaviour_gradient(logits, action, behaviour_clip=0.3, behaviour_kl_coef=2.0)
    np.testing.assert_allclose(penalised - found, 2.0 * (phi - pi), atol=1e-6)


@optimised()
def test_sampling_error_on_a_bandit_is_lower_than_on_policy():
    """KL of the frequencies of actions and the target policy, at 32, 64 and again 64 plays."""
    task = Task(*envs.make("bandit/gaussian", num_arms=4))
    config = props.Config(
        num_envs=1,
        num_steps=32,
        adapt_steps=2,
        num_minibatches=1,
        update_epochs=1,
        learning_rate=0.0,
        behaviour_minibatches=1,
        behaviour_epochs=8,
        behaviour_learning_rate=0.02,
        behaviour_kl_coef=0.0,
        behaviour_kl=0.1,
        total_timesteps=3200,
        stagger_episodes=False,
    )

    def trial(key, rate):
        options = replace(config, behaviour_learning_rate=rate)
        state = replace(props.init(key, options, task), params=bandit_params(ARMS))

        def step(state, _):
            state, metrics = props.update(state, options, task)
            made = jnp.arange(options.memory_steps) >= options.memory_steps - state.filled
            shares = jnp.sum(jax.nn.one_hot(state.memory.action[:, 0], 4) * made[:, None], axis=0)
            shares /= state.filled
            logs = jnp.where(shares > 0.0, jnp.log(shares), 0.0)
            return state, (jnp.sum(shares * (logs - ARMS)), metrics["behaviour_kl"])

        state, outcome = jax.lax.scan(step, state, length=3)
        return state.params, outcome

    keys = jax.random.split(jax.random.key(0), 128)
    trials = jax.jit(jax.vmap(jax.vmap(trial, (0, None)), (None, 0)))
    params, (errors, behaviour_kl) = trials(keys, jnp.array([0.0, 0.02]))
    on_policy, adapted = np.asarray(errors).mean(axis=1)
    # For independent samples of a policy over 4 actions it is close to 3 / 2 n.
    np.testing.assert_allclose(on_policy, 1.5 / np.array([32, 64, 64]), rtol=0.25)
    assert np.all(adapted < 0.75 * on_policy), (adapted, on_policy)
    assert float(behaviour_kl[0].max()) < 1e-6 < float(behaviour_kl[1].min())
    np.testing.assert_array_equal(params["actor"]["bias"], np.broadcast_to(ARMS, (2, 128, 4)))


def test_memory_keeps_the_last_batches_in_order(cartpole):
    config = replace(SMALL, adapt=False)
    state = init(jax.random.key(0), config, cartpole)
    collect = jax.jit(props.collect)
    made = []
    for number in range(3):
        assert int(state.filled) == min(16 * number, 32)
        state, _ = collect(state, jax.random.key(number), config, cartpole)
        made.append(jax.tree.map(lambda x: x[-16:], state.memory))
        if number == 0:
            assert not np.any(state.memory.seen[:16])
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *made[1:])
    jax.tree.map(np.testing.assert_array_equal, state.memory, joined)
    # Observations follow each other over the border of two batches, unless an episode ended.
    memory = state.memory
    goes_on = ~np.asarray(memory.terminated | memory.truncated)[:-1]
    assert goes_on[15].any()
    np.testing.assert_array_equal(
        np.asarray(memory.seen)[1:][goes_on], np.asarray(memory.final_scene)[:-1][goes_on]
    )


def test_only_steps_that_were_made_are_learned_from(cartpole):
    state = init(jax.random.key(0), SMALL, cartpole)
    poison = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), state.memory.seen)
    state = replace(state, memory=replace(state.memory, seen=poison))
    state, metrics = update(state, SMALL, cartpole)
    assert np.isnan(state.memory.seen).mean() == 0.5
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(state.params))
    assert np.isfinite(metrics["behaviour_kl"]) and np.isfinite(metrics["explained_variance"])
    # Nor does a behaviour policy learn from the steps whose place its own will take.
    state, _ = update(state, SMALL, cartpole)
    seen = state.memory.seen.at[: SMALL.adapt_steps].set(jnp.nan)
    state = replace(state, memory=replace(state.memory, seen=seen))
    params, divergence = jax.jit(props.adapt)(state, jax.random.key(0), SMALL, cartpole)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(params)) and divergence > 0.0

    rows = jnp.arange(4 * 32)
    for steps, counts in ((32, 1), (16, 2), (8, 4)):
        found = np.bincount(props.newest_rows(rows, jnp.int32(steps), SMALL), minlength=128)
        np.testing.assert_array_equal(found[-4 * steps :], counts)
        assert not found[: -4 * steps].any()


def test_estimates_are_the_target_policys_own_and_older_steps_do_not_reach_newer(cartpole):
    config = replace(SMALL, gae_lambda=0.9)
    state = init(jax.random.key(0), config, cartpole)
    for number in range(2):
        state, _ = jax.jit(props.collect)(state, jax.random.key(number), config, cartpole)
    params = props.init_network(jax.random.key(9), config, cartpole)
    state = replace(state, params=jax.tree.map(lambda x: 3.0 * x, params))
    batch = jax.jit(props.estimate)(state, config, cartpole)
    pi, value = props.forward(state.params, batch.seen, None, config)
    np.testing.assert_allclose(batch.log_prob, pi.log_prob(batch.action), atol=1e-5)
    np.testing.assert_allclose(batch.target - batch.advantage, value, atol=1e-5)

    memory = state.memory
    value = np.asarray(value).reshape(32, 4)
    after = np.asarray(
        props.forward(state.params, memory.final_scene.reshape(-1, 4), None, config)[1]
    )
    after = after.reshape(32, 4)
    advantage, following = np.zeros((32, 4)), np.zeros(4)
    done = np.asarray(memory.terminated | memory.truncated)
    for t in reversed(range(32)):
        future = np.where(memory.terminated[t], 0.0, after[t])
        delta = memory.reward[t] + config.gamma * future - value[t]
        following = delta + config.gamma * 0.9 * np.where(done[t], 0.0, following)
        advantage[t] = following
    assert done.any()
    np.testing.assert_allclose(batch.advantage.reshape(32, 4), advantage, atol=1e-4)


def test_one_batch_without_adaptation_is_ppo(cartpole):
    config = replace(SMALL, adapt=False, batches=1)
    names = {f.name for f in fields(props.Config)} & {f.name for f in fields(ppo.Config)}
    other = ppo.Config(**{name: getattr(config, name) for name in names})
    state = init(jax.random.key(0), config, cartpole)
    expected = jax.jit(ppo.init)(jax.random.key(0), other, cartpole)
    ppo_update = jax.jit(ppo.update)
    for _ in range(2):
        state, metrics = update(state, config, cartpole)
        expected, other_metrics = ppo_update(expected, other, cartpole)
    for one, two in zip(jax.tree.leaves(state.params), jax.tree.leaves(expected.params)):
        np.testing.assert_allclose(one, two, atol=1e-5)
    for name in ("loss", "approx_kl", "explained_variance", "episodes"):
        assert float(metrics[name]) == pytest.approx(float(other_metrics[name]), abs=1e-4), name


@pytest.mark.parametrize("env", ["gymnax/CartPole-v1", "gymnax/Pendulum-v1"])
def test_the_behaviour_policy_starts_at_the_target_and_stops_at_its_limit(env):
    task = Task(*envs.make(env))
    config = SMALL
    if task.continuous:
        config = replace(SMALL, norm_obs=True, norm_reward=True, shared_trunk=False)
    adapt = jax.jit(props.adapt)
    state = init(jax.random.key(0), config, task)
    params, divergence = adapt(state, jax.random.key(1), config, task)
    jax.tree.map(np.testing.assert_array_equal, params, state.params)  # nothing in memory yet
    assert float(divergence) == 0.0

    new, metrics = update(state, config, task)
    assert 0.0 < float(metrics["behaviour_kl"]) < 0.1
    assert int(new.filled) == 16
    distances = []
    for limit in (1e-6, 1.0):
        options = replace(config, behaviour_kl=limit, behaviour_learning_rate=1e-2)
        params, _ = adapt(new, jax.random.key(1), options, task)
        moved = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b)), params, new.params)
        distances.append(max(float(x) for x in jax.tree.leaves(moved)))
    # Adam's first step is as long as its step size; the second one is not made.
    assert distances[0] == pytest.approx(0.01, rel=0.02) and distances[1] > 0.015
    if config.norm_obs:
        assert float(new.obs_moments.count) == float(new.return_moments.count) == 64.0


def test_sizes_that_do_not_fit(cartpole):
    for changes, message in (
        ({"num_minibatches": 3}, "num_minibatches: 3 does not divide"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one rollout"),
        ({"adapt_steps": 5}, "adapt_steps: 5 does not divide num_steps = 16"),
        ({"behaviour_minibatches": 5}, "behaviour_minibatches: 5 does not divide .* = 96"),
        ({"batches": 1, "adapt_steps": 16}, "behaviour_minibatches: .* = 0, or that is 0"),
    ):
        with pytest.raises(ValueError, match=message):
            props.init(jax.random.key(0), replace(SMALL, **changes), cartpole)
    walls = Task(*envs.make("gymnax/Breakout-MinAtar"))
    with pytest.raises(ValueError, match="norm_obs: got True, allowed: False"):
        props.init(jax.random.key(0), replace(SMALL, norm_obs=True, network="minatar"), walls)


def test_cartpole_is_learned_by_every_seed():
    """At least 400 of 500 after 41 k steps; 18 seeds had 500. Random play has about 22.

    Broken versions: a target policy that becomes the behaviour policy has 9, a behaviour policy
    with the opposite gradient and no limit 175, the newest steps where the oldest belong 234, all
    values zero 293 (worst seed).
    """
    config, task = learning("props")
    _, metrics = run(props, config, task)
    assert final(metrics).min() > 400, final(metrics)
