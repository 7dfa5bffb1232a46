"""PPO: its loss by hand, its handling of time limits and scenes, its options; and it learns."""

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnax.environments.spaces import Discrete

import envs
from algorithms import ppo
from algorithms.common import networks
from algorithms.common.bootstrap import flatten, replace_values
from algorithms.common.task import Task
from tests.algorithms.cases import learning
from tests.algorithms.conftest import Walk
from tests.algorithms.learning import final, run

WALK = ppo.PRESETS["default"].replace(
    network="small", num_envs=4, num_steps=16, num_minibatches=2, total_timesteps=640
)
CARTPOLE = ppo.PRESETS["state"].replace(
    learning_rate=2.5e-3,
    gamma=0.99,
    reward_scale=0.1,
    num_envs=16,
    num_steps=128,
    num_minibatches=4,
    update_epochs=4,
    total_timesteps=150_000,
)

init = jax.jit(ppo.init)
update = jax.jit(ppo.update)
collect = jax.jit(ppo.collect)


class DiscreteWalk(Walk):
    """The walk of the other tests, with its action space."""

    def action_space(self, params=None):
        return Discrete(2)


@pytest.fixture(scope="module")
def walk() -> Task:
    env = DiscreteWalk()
    return Task(env, env.default_params)


@pytest.fixture(scope="module")
def cartpole() -> Task:
    return Task(*gymnax.make("CartPole-v1"))


def test_loss_of_a_minibatch_worked_out_by_hand():
    # A linear "network": no hidden layer is needed to check the loss, so use the heads alone.
    config = ppo.PRESETS["paper"].replace(network="mlp", norm_adv=False)
    params = {
        "dense_0": {"kernel": jnp.zeros((1, 64)), "bias": jnp.zeros(64)},
        "dense_1": {"kernel": jnp.zeros((64, 64)), "bias": jnp.zeros(64)},
        "actor": {"kernel": jnp.zeros((64, 2)), "bias": jnp.log(jnp.array([0.75, 0.25]))},
        "critic": {"kernel": jnp.zeros((64, 1)), "bias": jnp.array([1.0])},
    }
    batch = ppo.Batch(
        seen=jnp.zeros((4, 1)),
        action=jnp.array([0, 0, 1, 1]),
        mask=None,
        log_prob=jnp.log(jnp.array([0.5, 0.5, 0.5, 0.2])),
        value=jnp.array([0.0, 1.1, 2.0, 1.0]),
        advantage=jnp.array([1.0, -1.0, -2.0, 3.0]),
        target=jnp.array([3.0, 0.0, 1.0, 1.5]),
    )
    # Ratios 1.5, 1.5, 0.5, 1.25; clipped 1.2, 1.2, 0.8, 1.2.
    policy_loss = (-1.2 + 1.5 + 1.6 - 3.6) / 4
    # Value 1; clipped values 0.2, 1.0, 1.8, 1.0; the larger square of each pair.
    value_loss = 0.5 * (2.8**2 + 1.0 + 0.8**2 + 0.5**2) / 4
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    ratios = np.array([1.5, 1.5, 0.5, 1.25])
    expected = {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "entropy": entropy,
        "loss": policy_loss - 0.01 * entropy + 0.5 * value_loss,
        "approx_kl": np.mean(ratios - 1 - np.log(ratios)),
        "clip_frac": 1.0,
    }
    task = Task(env=None, params=None)
    terms = ppo.Terms(config.ent_coef)
    total, metrics = ppo.loss(params, batch, terms, config, task)
    assert float(total) == pytest.approx(expected["loss"], rel=1e-5)
    assert {k: float(v) for k, v in metrics.items()} == pytest.approx(expected, rel=1e-5)

    plain = ppo.loss(params, batch, ppo.Terms(0.0), config.replace(clip_vloss=False), task)[1]
    assert float(plain["value_loss"]) == pytest.approx(0.5 * (4 + 1 + 0 + 0.25) / 4, rel=1e-5)
    normed = ppo.loss(params, batch, ppo.Terms(0.0), config.replace(norm_adv=True), task)[1]
    standard = (batch.advantage - 0.25) / np.std([1.0, -1.0, -2.0, 3.0])
    loss = np.maximum(-standard * ratios, -standard * np.clip(ratios, 0.8, 1.2)).mean()
    assert float(normed["policy_loss"]) == pytest.approx(float(loss), rel=1e-5)


def test_scenes_and_frames_give_the_same_bits(walk):
    finals = []
    for store in ("scenes", "frames"):
        config = WALK.replace(store=store)
        state = init(jax.random.key(0), config, walk)
        for _ in range(3):
            state, metrics = update(state, config, walk)
        finals.append((state.params, state.optimiser, metrics))
    jax.tree.map(np.testing.assert_array_equal, *finals)


def test_a_rollout_keeps_no_frames_unless_told(walk):
    for store, kept in (("scenes", False), ("frames", True)):
        config = WALK.replace(store=store)
        state = jax.eval_shape(ppo.init, jax.random.key(0), config, walk)
        rollout = jax.eval_shape(ppo.collect, state, jax.random.key(0), config, walk)[1]
        assert any(x.shape[2:] == (8, 8, 3) for x in jax.tree.leaves(rollout)) is kept


def test_values_of_truncated_steps_are_those_of_the_scene_before_the_reset(walk):
    # 16 steps with a limit of 7: up to three truncations per environment, several rounds.
    state = init(jax.random.key(0), WALK, walk)
    state, rollout, _ = collect(state, jax.random.key(1), WALK, walk)
    cut = rollout.truncated & ~rollout.terminated
    assert int(cut.sum()) > WALK.num_envs
    flat = jax.tree.map(flatten, rollout.final_scene)
    dense = ppo.values(state, flat, WALK, walk).reshape(cut.shape)
    before = jnp.full(cut.shape, -7.0)
    found = replace_values(
        lambda scene: ppo.values(state, scene, WALK, walk), before, cut, rollout.final_scene
    )
    np.testing.assert_allclose(found, jnp.where(cut, dense, before), atol=1e-6)


def test_bootstrapping_reaches_the_advantages_only_at_truncations(walk):
    state = init(jax.random.key(0), WALK, walk)
    state, rollout, _ = collect(state, jax.random.key(1), WALK, walk)
    config = WALK.replace(gae_lambda=0.0)
    corrected = ppo.estimate(state, rollout, config, walk).advantage
    paper = ppo.estimate(state, rollout, config.replace(bootstrap_truncation=False), walk).advantage
    cut = flatten(rollout.truncated & ~rollout.terminated)
    np.testing.assert_array_equal(corrected[~cut], paper[~cut])
    assert (corrected != paper)[cut].all()


def test_staggered_episodes_start_evenly_and_their_first_does_not_count(walk):
    config = WALK.replace(num_envs=7, num_minibatches=1, num_steps=7)
    state = init(jax.random.key(0), config, walk)
    assert sorted(state.env_state.time.tolist()) == list(range(7))
    np.testing.assert_array_equal(state.scene["time"], state.env_state.time)
    assert not state.tracker.whole.any()
    state, rollout, metrics = collect(state, jax.random.key(1), config, walk)
    assert state.tracker.whole.all()
    ended = int((rollout.terminated | rollout.truncated).sum())
    assert float(metrics["episodes"]) == ended - 7
    state = init(jax.random.key(0), config.replace(stagger_episodes=False), walk)
    assert state.env_state.time.tolist() == [0] * 7
    assert state.tracker.whole.all()


def test_episode_statistics(cartpole):
    config = CARTPOLE.replace(stagger_episodes=False)
    state = init(jax.random.key(0), config, cartpole)
    _, rollout, metrics = collect(state, jax.random.key(1), config, cartpole)
    done = np.asarray(rollout.terminated | rollout.truncated)
    lengths = []
    for env in range(done.shape[1]):
        ends = np.flatnonzero(done[:, env])
        lengths += np.diff(ends, prepend=-1).tolist()
    assert float(metrics["episodes"]) == len(lengths) > 20
    assert float(metrics["length"]) == pytest.approx(np.mean(lengths), rel=1e-5)
    assert float(metrics["return"]) == pytest.approx(np.mean(lengths), rel=1e-5)


def test_learning_rate_and_entropy_are_annealed_and_traced(cartpole):
    state = init(jax.random.key(0), CARTPOLE, cartpole)
    end = state.replace(iteration=jnp.int32(CARTPOLE.num_updates))
    programs = update._cache_size()
    still, _ = update(end, CARTPOLE.replace(anneal_lr=1.0), cartpole)
    jax.tree.map(np.testing.assert_array_equal, still.params, state.params)
    moved, _ = update(end, CARTPOLE.replace(anneal_lr=0.5), cartpole)
    assert (moved.params["actor"]["bias"] != state.params["actor"]["bias"]).any()
    high, low = (CARTPOLE.replace(ent_coef=e, anneal_ent=1.0) for e in (0.0, 5.0))
    jax.tree.map(
        np.testing.assert_array_equal,
        update(end, high, cartpole)[0].params,
        update(end, low, cartpole)[0].params,
    )
    assert update._cache_size() == programs + 1


def test_sizes_that_do_not_fit(cartpole):
    for changes, message in (
        ({"num_minibatches": 3}, "num_minibatches: 3 does not divide"),
        ({"total_timesteps": 10}, "total_timesteps: 10 is less than one rollout"),
    ):
        with pytest.raises(ValueError, match=message):
            ppo.init(jax.random.key(0), CARTPOLE.replace(**changes), cartpole)


def test_policy_samples_or_takes_the_best():
    params = networks.init(jax.random.key(0), "mlp", (4,), 2)
    params["actor"]["bias"] = jnp.array([0.0, 1.0])
    state = ppo.State(params, None, None, None, None, None, None)
    seen = jnp.zeros((2000, 4))
    assert ppo.policy(state, CARTPOLE, None, greedy=True)(jax.random.key(1), seen).all()
    share = float(ppo.policy(state, CARTPOLE, None)(jax.random.key(1), seen).mean())
    assert share == pytest.approx(1 / (1 + np.exp(-1.0)), abs=0.04)


def test_cartpole_is_learned_by_every_seed(cartpole):
    """At least 400 of 500 after 150 k steps (measured: 500); random play has about 22."""

    def train(key):
        def step(state, _):
            return ppo.update(state, CARTPOLE, cartpole)

        state = ppo.init(key, CARTPOLE, cartpole)
        return jax.lax.scan(step, state, length=CARTPOLE.num_updates)[1]

    metrics = jax.jit(jax.vmap(train))(jax.random.split(jax.random.key(0), 3))
    returns = np.nanmean(np.asarray(metrics["return"])[:, -10:], axis=1)
    assert returns.min() > 400, returns


SMALL = ppo.PRESETS["control"].replace(
    num_envs=4, num_steps=16, num_minibatches=1, update_epochs=1, total_timesteps=6400
)
MASKED = SMALL.replace(
    network="minatar", shared_trunk=True, norm_obs=False, norm_reward=False, mask_actions=True
)


@pytest.mark.parametrize(
    ("env", "config"),
    [
        ("grid/invalid-actions-4", MASKED),
        ("gymnax/Pendulum-v1", SMALL),
    ],
)
def test_the_policy_that_learns_begins_as_the_one_that_acted(env, config):
    """Also with masks, and in the second update, after the moments of observations changed."""
    task = Task(*envs.make(env))
    state = init(jax.random.key(0), config, task)
    for _ in range(2):
        state, metrics = update(state, config, task)
        assert abs(float(metrics["approx_kl"])) < 1e-6
        assert float(metrics["clip_frac"]) == 0.0
    if config.norm_obs:
        assert float(state.obs_moments.count) == 2 * config.steps_per_update
        assert float(state.return_moments.count) == 2 * config.steps_per_update


def test_masked_rollouts_take_valid_actions_only():
    task = Task(*envs.make("grid/invalid-actions-4"))
    state = init(jax.random.key(0), MASKED, task)
    _, rollout, _ = collect(state, jax.random.key(1), MASKED, task)
    taken = jnp.take_along_axis(rollout.mask, rollout.action[..., None], axis=-1)
    assert bool(taken.all()) and float(rollout.mask.mean()) < 0.1
    # The mask is that of the state in which the action was taken.
    np.testing.assert_array_equal(
        rollout.mask[0], jax.vmap(task.env.action_mask)(state.env_state, None)
    )
    observation, mask = task.render(state.scene), rollout.mask[0]
    act = ppo.policy(state, MASKED, task, greedy=True)
    chosen = act(jax.random.key(0), observation, mask)
    assert bool(jnp.take_along_axis(mask, chosen[:, None], axis=1).all())


PENALISED = CARTPOLE.replace(
    surrogate="kl", entropy_band=True, num_envs=4, num_steps=32, band_low=1.5, band_coef=0.0
)


def test_weights_of_penalties_adapt(cartpole):
    state = init(jax.random.key(0), PENALISED, cartpole)
    for target, factor in ((1e-9, 2.0), (1e3, 0.5)):
        new, metrics = update(state, PENALISED.replace(kl_target=target), cartpole)
        assert float(metrics["approx_kl"]) > 1e-5
        assert float(new.multiplier) == factor
    config = PENALISED.replace(surrogate="r2", entropy_band=False)
    new, metrics = update(state, config.replace(ratio_variance=0.0), cartpole)
    steps = config.update_epochs * config.num_minibatches
    assert float(new.multiplier) == pytest.approx(1 + steps * float(metrics["ratio_variance"]))
    new, _ = update(state, config.replace(ratio_variance=0.5), cartpole)
    assert float(new.multiplier) == 0.0


def test_band_begins_with_the_second_update_around_the_mean(cartpole):
    on = PENALISED.replace(band_coef=10.0)
    state = init(jax.random.key(0), on, cartpole)
    jax.tree.map(
        np.testing.assert_array_equal,
        update(state, PENALISED, cartpole)[0].params,
        update(state, on, cartpole)[0].params,
    )
    entropies = []
    for _ in range(3):
        state, metrics = update(state, PENALISED, cartpole)
        entropies.append(float(metrics["entropy"]))
    assert float(state.mean_entropy) == pytest.approx(np.mean(entropies), rel=1e-5)
    low = update(state.replace(mean_entropy=jnp.float32(0.1)), on, cartpole)[1]["entropy"]
    high = update(state.replace(mean_entropy=jnp.float32(0.6)), on, cartpole)[1]["entropy"]
    assert float(low) < entropies[-1] - 1e-4 < float(high)


def test_options_that_do_not_fit(cartpole):
    for changes, message in (
        ({"surrogate": "none"}, "surrogate: got 'none', allowed: clip, kl, r2, clip-cov, kl-cov"),
        ({"mask_actions": True}, "mask_actions: got True, allowed: False, CartPole-v1 has no"),
        ({"head": "gaussian"}, "head: got 'gaussian', allowed: auto, categorical"),
    ):
        with pytest.raises(ValueError, match=message):
            ppo.init(jax.random.key(0), CARTPOLE.replace(**changes), cartpole)
    pendulum = Task(*envs.make("gymnax/Pendulum-v1"))
    with pytest.raises(ValueError, match="entropy_band: got True, allowed: False"):
        ppo.init(jax.random.key(0), SMALL.replace(entropy_band=True), pendulum)
    grid = Task(*envs.make("grid/invalid-actions-4"))
    with pytest.raises(ValueError, match="norm_obs: got True, allowed: False"):
        ppo.init(jax.random.key(0), MASKED.replace(norm_obs=True), grid)


def test_pendulum_is_swung_up_by_every_seed():
    """At least -280; 18 seeds had -220 to -170. A random policy has about -1200.

    Broken versions: the density of the clipped action -1193 to -472, actions not scaled to the box
    -362 to -350, a critic that does not learn -1207 to -1079, the advantage of the step before -426
    (worst seed).
    """
    config, task = learning("ppo")
    _, metrics = run(ppo, config, task)
    assert final(metrics).min() > -280, final(metrics)
