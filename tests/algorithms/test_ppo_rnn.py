"""Recurrent PPO: sequences as acted, episodes apart, memories carried; and it remembers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.spaces import Discrete

import envs
from algorithms import ppo, ppo_rnn
from algorithms.common import normalise
from algorithms.common.bootstrap import flatten
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.conftest import Walk
from tests.algorithms.learning import final, run

SMALL = ppo_rnn.Config(
    memory_size=8,
    num_envs=4,
    num_steps=18,
    num_minibatches=2,
    total_timesteps=720,
    stagger_episodes=True,
)

init = jax.jit(ppo_rnn.init)
collect = jax.jit(ppo_rnn.collect)
unroll = jax.jit(ppo_rnn.unroll)


class DiscreteWalk(Walk):
    """The walk of the other tests, with its action space."""

    def action_space(self, params=None):
        return Discrete(2)


def walk() -> tuple[ppo_rnn.Config, Task]:
    """Images rendered from scenes; episodes end in both ways."""
    env = DiscreteWalk()
    return SMALL.replace(network="small"), Task(env, env.default_params)


def pendulum() -> tuple[ppo_rnn.Config, Task]:
    """Continuous actions, moments of observations and rewards; a time limit of 7 steps."""
    task = Task(*envs.make("gymnax/Pendulum-v1", max_steps_in_episode=7))
    return SMALL.replace(norm_obs=True, norm_reward=True), task


@pytest.fixture(scope="module", params=[walk, pendulum])
def acted(request):
    """A state amid episodes, the state after a rollout, the rollout, and where."""
    config, task = request.param()
    state = init(jax.random.key(0), config, task)
    actor = {**state.params["actor"], "kernel": 100.0 * state.params["actor"]["kernel"]}
    state = state.replace(params={**state.params, "actor": actor})
    state, rollout, _ = collect(state, jax.random.key(0), config, task)
    if config.norm_obs:
        moments = normalise.update(state.obs_moments, observations(rollout, task))
        state = state.replace(obs_moments=moments, memory=0.5 * state.memory)
    after, rollout, _ = collect(state, jax.random.key(1), config, task)
    return state, after, rollout, config, task


def observations(rollout, task):
    return task.render(jax.tree.map(flatten, rollout.seen))


def test_the_loss_sees_the_policy_that_acted_across_ends_of_episodes(acted):
    state, after, rollout, config, task = acted
    batch = jax.jit(ppo_rnn.estimate)(after, rollout, state.memory, config, task)
    assert (np.abs(state.memory).max(axis=1) > 0.0).sum() >= 3  # sequences start with a past
    assert batch.done[:-1].any(axis=0).all()

    seen = observations(rollout, task)
    pi, value = unroll(state.params, seen, batch.done, state.memory, state.obs_moments, config)
    log_prob = pi.log_prob(flatten(rollout.action))
    np.testing.assert_allclose(log_prob, flatten(rollout.log_prob), atol=2e-5)
    np.testing.assert_allclose(value, flatten(rollout.value), atol=2e-5)
    # From another memory, or without the ends of episodes, it would not be that policy.
    none = jnp.zeros_like(batch.done)
    for start, done in ((0.0 * state.memory, batch.done), (state.memory, none)):
        _, wrong = unroll(state.params, seen, done, start, state.obs_moments, config)
        assert np.abs(wrong - value).max() > 1e-2

    # A minibatch of two environments, before any gradient step: all ratios are 1.
    minibatch = jax.tree.map(lambda x: x[:, jnp.array([2, 0])], batch)
    terms = ppo_rnn.Terms(0.0, state.obs_moments)
    plain = config.replace(norm_adv=False)
    _, metrics = jax.jit(ppo_rnn.loss)(state.params, minibatch, terms, plain, task)
    assert float(metrics["approx_kl"]) == pytest.approx(0.0, abs=1e-6)
    assert float(metrics["clip_frac"]) == 0.0
    advantage = float(minibatch.advantage.mean())
    assert float(metrics["policy_loss"]) == pytest.approx(-advantage, abs=1e-4)


def test_an_update_of_one_step_compares_the_policy_with_itself(acted):
    state, _, _, config, task = acted
    config = config.replace(num_minibatches=1, update_epochs=1)
    new, metrics = jax.jit(ppo_rnn.update)(state, config, task)
    assert float(metrics["approx_kl"]) == pytest.approx(0.0, abs=1e-6)
    assert float(metrics["policy_loss"]) == pytest.approx(0.0, abs=1e-5)
    assert all(
        (new.params["gru"][k]["kernel"] != v["kernel"]).any()
        for k, v in state.params["gru"].items()
    )


def test_nothing_passes_the_end_of_an_episode():
    config, task = SMALL, Task(*envs.make("gymnax/CartPole-v1"))
    params = ppo_rnn.init_network(jax.random.key(0), config, task)
    seen = jax.random.normal(jax.random.key(1), (10, 2, 4))
    done = jnp.zeros((10, 2), bool).at[4].set(True)
    memory = jnp.ones((2, config.memory_size))

    @jax.jit
    def outputs(seen, memory):
        pi, value = ppo_rnn.unroll(params, flatten(seen), done, memory, None, config)
        return jnp.concatenate([pi.logits, value[:, None]], axis=1).reshape(10, 2, 3)

    before = outputs(seen, memory)
    changed = outputs(seen.at[2].add(1.0), memory)
    np.testing.assert_array_equal(changed[5:], before[5:])
    np.testing.assert_array_equal(changed[:2], before[:2])
    assert (changed[2:5] != before[2:5]).all()

    # How the outputs of each step depend on every observation and on the first memory.
    totals = jax.jit(jax.jacrev(lambda *x: outputs(*x).sum((1, 2)), (0, 1)))
    jacobian, of_memory = totals(seen, memory)
    depends = np.abs(jacobian).sum((2, 3)) > 0.0
    episode = np.arange(10) > 4
    np.testing.assert_array_equal(
        depends, np.tril(np.ones((10, 10), bool)) & (episode[:, None] == episode[None])
    )
    np.testing.assert_array_equal(np.abs(of_memory).sum((1, 2)) > 0.0, ~episode)


def test_memories_go_on_in_the_next_rollout(acted):
    state, after, first, config, task = acted
    _, second, _ = collect(after, jax.random.key(2), config, task)
    both = jax.tree.map(lambda *x: jnp.concatenate(x), first, second)
    pi, value = unroll(
        state.params,
        observations(both, task),
        both.terminated | both.truncated,
        state.memory,
        state.obs_moments,
        config,
    )
    np.testing.assert_allclose(value, flatten(both.value), atol=2e-5)
    log_prob = pi.log_prob(flatten(both.action))
    np.testing.assert_allclose(log_prob, flatten(both.log_prob), atol=2e-5)


def test_values_go_on_through_the_time_limit_with_the_memory_of_the_episode(acted):
    state, after, rollout, config, task = acted
    config = config.replace(gae_lambda=0.0)
    batch = jax.jit(ppo_rnn.estimate)(after, rollout, state.memory, config, task)
    seen = observations(rollout, task).reshape(18, 4, *task.observation_shape)
    last = task.render(jax.tree.map(flatten, rollout.final_scene)).reshape(seen.shape)
    step = jax.jit(ppo_rnn.forward)
    memory, cuts = state.memory, 0
    for t in range(18):
        _, _, memory = step(state.params, seen[t], memory, state.obs_moments, config)
        _, value, _ = step(state.params, last[t], memory, state.obs_moments, config)
        goes_on = np.where(rollout.terminated[t], 0.0, value)
        expected = rollout.reward[t] + config.gamma * goes_on - rollout.value[t]
        np.testing.assert_allclose(batch.advantage[t], expected, atol=5e-5)
        cuts += int((rollout.truncated[t] & ~rollout.terminated[t]).sum())
        memory = jnp.where(batch.done[t][:, None], 0.0, memory)
    assert cuts >= config.num_envs


def test_apart_from_the_memory_the_loss_is_that_of_ppo():
    # Heads without weights: policy and value do not depend on what is before them.
    config, other = SMALL, ppo.Config(network="mlp")
    task = Task(*envs.make("gymnax/CartPole-v1"))
    params = ppo_rnn.init_network(jax.random.key(0), config, task)
    plain = ppo.init_network(jax.random.key(0), other, task)
    heads = {
        "actor": {"kernel": jnp.zeros((8, 2)), "bias": jnp.log(jnp.array([0.75, 0.25]))},
        "critic": {"kernel": jnp.zeros((8, 1)), "bias": jnp.array([1.0])},
    }
    wide = {k: {**v, "kernel": jnp.zeros((64, v["bias"].size))} for k, v in heads.items()}
    keys = jax.random.split(jax.random.key(1), 4)
    batch = ppo_rnn.Batch(
        seen=jnp.zeros((5, 3, 4)),
        memory=jnp.ones((1, 3, 8)),
        done=jax.random.bernoulli(keys[0], 0.3, (5, 3)),
        action=jax.random.randint(keys[1], (5, 3), 0, 2),
        log_prob=jnp.log(jax.random.uniform(keys[2], (5, 3), minval=0.2)),
        advantage=jax.random.normal(keys[3], (5, 3)),
        target=jnp.arange(15.0).reshape(5, 3),
    )
    _, found = jax.jit(ppo_rnn.loss)({**params, **heads}, batch, ppo_rnn.Terms(0.1), config, task)
    rows = jax.tree.map(
        flatten,
        ppo.Batch(
            batch.seen,
            batch.action,
            None,
            batch.log_prob,
            jnp.zeros((5, 3)),
            batch.advantage,
            batch.target,
        ),
    )
    _, expected = jax.jit(ppo.loss)({**plain, **wide}, rows, ppo.Terms(0.1), other, task)
    assert {k: float(v) for k, v in found.items()} == pytest.approx(
        {k: float(v) for k, v in expected.items()}, rel=1e-5
    )


def test_sizes_that_do_not_fit():
    task = Task(*envs.make("gymnax/CartPole-v1"))
    for changes, message in (
        ({"num_minibatches": 3}, "num_minibatches: 3 does not divide num_envs = 4"),
        ({"memory_size": 0}, "memory_size: got 0, allowed: at least 1"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one rollout"),
    ):
        with pytest.raises(ValueError, match=message):
            ppo_rnn.init(jax.random.key(0), SMALL.replace(**changes), task)
    walls = Task(*envs.make("gymnax/Breakout-MinAtar"))
    with pytest.raises(ValueError, match="norm_obs: got True, allowed: False"):
        ppo_rnn.init(jax.random.key(0), SMALL.replace(norm_obs=True, network="minatar"), walls)


def test_a_cue_is_remembered_for_ten_steps():
    """Return above 0.8 of 1 after 61 k steps, of the worst seed; 18 seeds had 0.988 to 1.

    Guessing has 0, PPO without memory with the same settings -0.05. Broken versions: no
    backpropagation through time -0.07, a loss that forgets after every step -0.03, one that ignores
    ends of episodes 0.17.
    """
    config, task = learning("ppo_rnn")
    states, metrics = run(ppo_rnn, config, task)
    assert final(metrics).min() > 0.8, final(metrics)

    # The trained policy in whole episodes: with its memory it is right, without it guesses.
    state = jax.tree.map(lambda leaf: leaf[0], states)
    remembering = ppo_rnn.recurrent_policy(state, config, task, greedy=True)
    forgetting = ppo_rnn.policy(state, config, task, greedy=True)
    scene, env_state = task.reset(jax.random.key(0), 64)
    memory = ppo_rnn.initial_memory(config, 64)
    step = jax.jit(task.step)
    key = jax.random.key(1)
    for _ in range(int(task.params.memory_length)):
        _, memory = remembering(key, scene, memory)
        transition = step(key, env_state, jnp.zeros(64, jnp.int32))
        scene, env_state = transition.scene, transition.env_state
    action, _ = remembering(key, scene, memory)
    with pytest.warns(UserWarning, match="ppo_rnn: act.key, observation. has no memory"):
        guess = forgetting(key, scene)
    assert (step(key, env_state, action).reward == 1.0).all()
    assert abs(float(step(key, env_state, guess).reward.mean())) < 0.5
