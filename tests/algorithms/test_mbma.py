"""MBMA: PPO inside, exact advantages and gradients of extra actions, the model; and it learns."""

from dataclasses import fields, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from algorithms import mbma, ppo
from algorithms.common import latent_model, many_actions
from algorithms.common.task import Task
from envs.exact import lqr
from tests.algorithms.cases import learning
from tests.algorithms.learning import final, run

SMALL = mbma.Config(
    num_envs=4,
    num_steps=16,
    num_minibatches=2,
    update_epochs=2,
    extra_actions=3,
    horizon=2,
    model_steps=4,
    model_batch=16,
    memory=2,
    total_timesteps=6400,
)
# No scaling and no baselines that depend on the samples: gradients are plain means.
PLAIN = replace(
    SMALL,
    many_actions="simulator",
    norm_adv=False,
    norm_obs=False,
    norm_reward=False,
    stagger_episodes=False,
)
DEVIATION = 0.5  # of the actions of linear policies

init = jax.jit(mbma.init)
update = jax.jit(mbma.update)


@pytest.fixture(scope="module")
def pendulum() -> Task:
    return Task(*envs.make("gymnax/Pendulum-v1"))


def linear_quadratic(noise: float, growth: float = 1.0) -> tuple[Task, jax.Array, lqr.LQR]:
    """A task, a policy u = -K x that is not optimal, and the problem with the actions' noise."""
    options = {"states": 2, "actions": 1, "noise": noise, "growth": growth, "problem.gamma": 0.9}
    task = Task(*envs.make("control/lqr", **options))
    problem = task.params.problem
    spread = problem.B @ problem.B.T * DEVIATION**2
    return task, 0.3 * lqr.riccati(problem).K, replace(problem, noise=problem.noise + spread)


def exact_network(monkeypatch, task: Task, K: jax.Array, problem: lqr.LQR) -> dict:
    """Parameters of the linear policy, whose critic is exact."""
    P = lqr.cost_to_go(problem, K)
    gamma = problem.gamma
    offset = gamma / (1 - gamma) * jnp.sum(P * problem.noise)
    offset += DEVIATION**2 * jnp.trace(problem.R) / (1 - gamma)

    def apply(params, observation, network):
        del network
        value = -jnp.einsum("bi,ij,bj->b", observation, P, observation) - offset
        return observation @ params["gain"], value

    monkeypatch.setattr(mbma.actor_critic, "apply", apply)
    high = task.params.max_action
    return {"gain": -K.T / high, "log_std": jnp.full(K.shape[0], jnp.log(DEVIATION / high))}


def test_without_extra_actions_it_is_ppo(pendulum):
    config = replace(SMALL, extra_actions=0)
    names = {f.name for f in fields(mbma.Config)} & {f.name for f in fields(ppo.Config)}
    other = ppo.Config(**{name: getattr(config, name) for name in names})
    state = init(jax.random.key(0), config, pendulum)
    expected = jax.jit(ppo.init)(jax.random.key(0), other, pendulum)
    ppo_update = jax.jit(ppo.update)
    for _ in range(2):
        state, metrics = update(state, config, pendulum)
        expected, other_metrics = ppo_update(expected, other, pendulum)
    for one, two in zip(jax.tree.leaves(state.params), jax.tree.leaves(expected.params)):
        np.testing.assert_allclose(one, two, atol=1e-5)
    for name in ("loss", "approx_kl", "explained_variance", "episodes"):
        assert float(metrics[name]) == pytest.approx(float(other_metrics[name]), abs=1e-4), name


def test_extra_actions_do_not_count_until_the_model_may_be_used(pendulum):
    config = replace(SMALL, model_starts=1.0)
    state = init(jax.random.key(0), config, pendulum)
    alone = init(jax.random.key(0), replace(config, extra_actions=0), pendulum)
    for updates, same in ((1, True), (2, False)):
        state, metrics = update(state, config, pendulum)
        alone, _ = update(alone, replace(config, extra_actions=0), pendulum)
        pairs = zip(jax.tree.leaves(state.params), jax.tree.leaves(alone.params), strict=True)
        gap = max(float(jnp.max(jnp.abs(one - two))) for one, two in pairs)
        assert (gap < 1e-5) == same, (updates, gap)
    assert metrics["model_loss"] > 0.0 and metrics["reward_loss"] > 0.0


def test_the_model_learns_from_steps_that_were_made(pendulum):
    state = init(jax.random.key(0), SMALL, pendulum)
    poison = jax.tree.map(lambda x: jnp.full_like(x, jnp.nan), state.memory)
    state = replace(state, memory=poison)
    shares = []
    for _ in range(3):
        state, metrics = update(state, SMALL, pendulum)
        assert np.isfinite(metrics["model_loss"]) and np.isfinite(metrics["loss"])
        shares.append(float(np.isnan(state.memory.reward).mean()))
    assert shares == [0.5, 0.0, 0.0]
    # Observations follow each other over the border of two rollouts, the newest last.
    seen, after = (x.reshape(2, 16, 4, 3) for x in (state.memory.seen, state.memory.after))
    same = jnp.all(seen[1, 0] == after[0, -1], axis=-1)
    assert same.sum() >= 3
    assert bool(jnp.all(jnp.abs(state.memory.action) <= 1.0))


def test_advantages_of_extra_actions_by_hand(monkeypatch):
    """Three steps without noise, of which some are the last ones of their episode.

    The action that was taken keeps the advantage of its rollout.
    """
    task, K, problem = linear_quadratic(noise=0.0)
    params = exact_network(monkeypatch, task, K, problem)
    config = replace(PLAIN, num_steps=2, horizon=3, gamma=0.8, gae_lambda=0.7)
    state = replace(mbma.init(jax.random.key(0), config, task), params=params)

    def sample(self, key):
        del key
        return self.mean + jnp.exp(self.log_std) * noise[: len(self.mean)]

    def answer(*inputs):
        position, reward, _ = original(*inputs)
        return position, reward, position[0][:, 0] > 0.5

    original = mbma.answer
    monkeypatch.setattr(mbma, "answer", answer)
    noise = jnp.sin(7.0 * jnp.arange(24.0))[:, None]
    monkeypatch.setattr(mbma.policies.Gaussian, "sample", sample)

    @jax.jit
    def extended(state):
        state, rollout, _ = mbma.collect(state, jax.random.key(1), config, task)
        batch = mbma.estimate(state, rollout, config, task)
        return batch, mbma.extend(state, batch, rollout, jax.random.key(2), config, task)

    batch, more = extended(state)
    assert more.action.shape == (8, 4, 1) and more.log_prob.shape == (8, 4)
    np.testing.assert_array_equal(more.advantage[:, :1], batch.advantage)
    np.testing.assert_array_equal(more.action[:, :1], batch.action)

    A, B, Q, R = (np.asarray(getattr(problem, name)) for name in "ABQR")
    x = np.repeat(np.asarray(batch.seen), 3, axis=0)
    first = -x @ np.asarray(K).T + DEVIATION * noise
    np.testing.assert_allclose(10.0 * more.action[:, 1:].reshape(24, 1), first, atol=1e-4)
    log_prob = -0.5 * (noise[:, 0] ** 2 + np.log(2 * np.pi)) - params["log_std"][0]
    np.testing.assert_allclose(more.log_prob[:, 1:].reshape(24), log_prob, atol=1e-3)

    def value(x):
        return np.asarray(mbma.forward(params, jnp.asarray(x), None, config)[1])

    advantage, alive = 0.0, np.ones(24)
    for step in range(3):
        u = -x @ np.asarray(K).T + DEVIATION * np.asarray(noise)
        reward = -np.einsum("bi,ij,bj->b", x, Q, x) - np.einsum("bi,ij,bj->b", u, R, u)
        after = x @ A.T + u @ B.T
        goes_on = after[:, 0] <= 0.5
        delta = reward + 0.8 * goes_on * value(after) - value(x)
        advantage += (0.8 * 0.7) ** step * alive * delta
        x, alive = after, alive * goes_on
    assert 0 < alive.sum() < 24
    np.testing.assert_allclose(more.advantage[:, 1:].reshape(24), advantage, rtol=1e-3, atol=1e-3)


def test_gradient_on_lqr_is_exact_and_its_variance_falls_with_the_actions(monkeypatch):
    """From given states, against Fazel's gradient: the mean is equal, the variance is 1 / (1 + n).

    With an exact critic neither the horizon nor lambda changes the mean.
    """
    task, K, problem = linear_quadratic(noise=0.1)
    params = exact_network(monkeypatch, task, K, problem)
    trials = 8192
    # Conditional on x the gradient is linear in x x', so the problem's own is that at Sigma.
    correlation = np.asarray(lqr.state_correlation(problem, K))
    per_moment = np.asarray(lqr.policy_gradient(problem, K)) @ np.linalg.inv(correlation)
    found = {}
    for extra, horizon in ((0, 1), (7, 1), (3, 4)):
        config = replace(PLAIN, extra_actions=extra, horizon=horizon, num_envs=4, num_steps=1)
        state = replace(mbma.init(jax.random.key(0), config, task), params=params)

        def gradient(key, state=state, config=config):
            collect_key, extra_key = jax.random.split(key)
            after, rollout, _ = mbma.collect(state, collect_key, config, task)
            batch = mbma.estimate(after, rollout, config, task)
            if config.extra_actions:
                batch = mbma.extend(after, batch, rollout, extra_key, config, task)
            terms = mbma.Terms(0.0, mbma.weights(state, config))
            plain = replace(config, vf_coef=0.0)
            slope = jax.grad(mbma.loss, has_aux=True)(params, batch, terms, plain)[0]["gain"]
            return -slope[:, 0] / task.params.max_action  # with respect to K, of the cost

        samples = jax.jit(jax.vmap(gradient))(jax.random.split(jax.random.key(extra), trials))
        found[extra] = np.asarray(samples, float)
        moment = np.asarray(state.scene).T @ np.asarray(state.scene) / config.num_envs
        expected = (per_moment @ moment)[0]
        error = found[extra].std(axis=0) / np.sqrt(trials)
        np.testing.assert_array_less(np.abs(found[extra].mean(axis=0) - expected), 4.0 * error)
        assert np.abs(expected).max() > 10.0 * error.max()
    total = {extra: samples.var(axis=0).sum() for extra, samples in found.items()}
    assert total[7] / total[0] == pytest.approx(1 / 8, rel=0.1)
    assert total[7] < total[3] < total[0]


def test_many_actions_beat_a_longer_trajectory_below_a_threshold():
    """Y = c s + a where the next state is the action: many actions win if c < 2 / (N T)."""
    steps, actions = 3, 4

    def spread(c):
        return many_actions.Spread(c**2, 1.0, jnp.zeros(1), jnp.array([c]))

    threshold = 2 / (steps * actions)
    assert float(many_actions.gain(spread(0.99 * threshold), steps, actions)) > 0.0
    assert float(many_actions.gain(spread(1.01 * threshold), steps, actions)) < 0.0
    bandit = many_actions.Spread(0.5, 1.0, jnp.zeros(1), jnp.zeros(1))
    assert float(many_actions.gain(bandit, steps, actions)) < 0.0

    rng = np.random.default_rng(0)
    for c, length, number in ((0.1, 3, 4), (0.1, 12, 1), (1.0, 3, 4), (1.0, 12, 1)):
        action = rng.standard_normal((40_000, length, number))
        first = rng.standard_normal((40_000, 1))
        state = np.concatenate([first, action[:, :-1, 0]], axis=1)
        terms = c * state + action.mean(axis=2)
        expected = float(many_actions.variance(spread(c), length, number))
        assert terms.mean(axis=1).var() == pytest.approx(expected, rel=0.04), (c, length, number)

    # States that go on by themselves: s' = 0.8 s + e, Y = s + a.
    lags = 0.8 ** jnp.arange(1, 60)
    own = many_actions.Spread(1.0, 1.0, lags, lags)
    noise = rng.standard_normal((40_000, 6)) * np.array([1.0] + [0.6] * 5)
    for t in range(1, 6):
        noise[:, t] += 0.8 * noise[:, t - 1]
    found = (noise.mean(axis=1) + rng.standard_normal(40_000) / np.sqrt(12)).var()
    assert found == pytest.approx(float(many_actions.variance(own, 6, 2)), rel=0.04)


def test_model_recovers_a_linear_system():
    task, _, problem = linear_quadratic(noise=0.0, growth=0.5)
    config = replace(
        PLAIN,
        many_actions="model",
        num_envs=256,
        num_steps=4,
        num_minibatches=1,
        init_log_std=-2.0,
        model_steps=1000,
        model_learning_rate=3e-3,
        model_batch=128,
        memory=1,
    )
    state = mbma.init(jax.random.key(0), config, task)

    @jax.jit
    def learned(state):
        state, rollout, _ = mbma.collect(state, jax.random.key(1), config, task)
        return mbma.fit(mbma.remember(state, rollout, task), jax.random.key(2), config)

    state, _ = learned(state)

    keys = jax.random.split(jax.random.key(3))
    x = 0.7 * jax.random.normal(keys[0], (256, 2))
    a = 0.1 * jax.random.normal(keys[1], (256, 1))
    after, reward = latent_model.predict(state.world, x, a, config.model_network)
    u = 10.0 * a
    truth = x @ problem.A.T + u @ problem.B.T
    cost = jnp.sum((x @ problem.Q) * x, axis=1) + jnp.sum((u @ problem.R) * u, axis=1)
    assert jnp.mean((after - truth) ** 2) < 0.01 * jnp.var(truth)
    assert jnp.mean((reward + cost) ** 2) < 0.02 * jnp.var(cost)
    fitted = np.linalg.lstsq(np.concatenate([x, u], axis=1), np.asarray(after), rcond=None)[0].T
    np.testing.assert_allclose(fitted[:, :2], problem.A, atol=0.05)
    np.testing.assert_allclose(fitted[:, 2:], problem.B, atol=0.05)


def test_pendulum_is_learned():
    """Mean above -400 after 45 k steps; 18 seeds had -509 to -195, on average -268. Random play has
    about -1200.

    Broken versions: no extra actions at all -502 (best seed); after 41 k steps a model that is
    never fitted had -1301, advantages of extra actions that belong to another action in the state
    -984, a model that learns the actions of the next environment -990.
    """
    config, task = learning("mbma")
    _, metrics = run(mbma, config, task)
    assert np.mean(final(metrics)) > -400, final(metrics)


def test_sizes_that_do_not_fit(pendulum):
    for changes, message in (
        ({"num_minibatches": 3}, "num_minibatches: 3 does not divide"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one rollout"),
        ({"many_actions": "dream"}, "many_actions: got 'dream', allowed: model, simulator"),
        ({"extra_actions": -1}, "extra_actions: got -1, allowed: 0 or more"),
        ({"horizon": 0}, "horizon: got 0, allowed: 1 or more"),
    ):
        with pytest.raises(ValueError, match=message):
            mbma.init(jax.random.key(0), replace(SMALL, **changes), pendulum)
    with pytest.raises(ValueError, match="env: CartPole-v1 has Discrete actions"):
        mbma.init(jax.random.key(0), SMALL, Task(*envs.make("gymnax/CartPole-v1")))
