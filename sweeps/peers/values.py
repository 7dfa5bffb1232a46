"""DQN and PQN."""

from typing import Any

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp
import optax

from sweeps.peers.sizes import Sizes


class QNetwork(nn.Module):
    """Two hidden layers, with or without layer normalisation."""

    num_actions: int
    width: int
    norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = nn.Dense(self.width)(x)
            x = nn.relu(nn.LayerNorm()(x) if self.norm else x)
        return nn.Dense(self.num_actions)(x)


def dqn(key: jax.Array, sizes: Sizes) -> Any:
    """Double DQN with a flat replay buffer; a gradient step per step of all environments."""
    env, params = gymnax.make(sizes.env.removeprefix("gymnax/"))
    network: Any = QNetwork(env.num_actions, sizes.width)
    optimiser = optax.chain(optax.clip_by_global_norm(10.0), optax.adam(2.5e-4))
    key, init_key, reset_key = jax.random.split(key, 3)
    obs, env_state = jax.vmap(env.reset, (0, None))(
        jax.random.split(reset_key, sizes.num_envs), params
    )
    weights = network.init(init_key, obs)
    rows = sizes.buffer_size
    buffer = {
        "obs": jnp.zeros((rows, *obs.shape[1:])),
        "next": jnp.zeros((rows, *obs.shape[1:])),
        "action": jnp.zeros(rows, jnp.int32),
        "reward": jnp.zeros(rows),
        "done": jnp.zeros(rows),
    }

    def loss(weights: Any, target: Any, batch: dict[str, jax.Array]) -> jax.Array:
        best = jnp.argmax(network.apply(weights, batch["next"]), -1)
        future = jnp.take_along_axis(network.apply(target, batch["next"]), best[:, None], -1)[:, 0]
        goal = batch["reward"] + 0.99 * (1 - batch["done"]) * future
        value = network.apply(weights, batch["obs"])
        chosen = jnp.take_along_axis(value, batch["action"][:, None], -1)[:, 0]
        return jnp.mean(optax.huber_loss(chosen, jax.lax.stop_gradient(goal)))

    def iteration(carry: Any, i: jax.Array) -> Any:
        weights, target, adam, buffer, obs, env_state, key = carry
        key, greedy_key, random_key, step_key, batch_key = jax.random.split(key, 5)
        best = jnp.argmax(network.apply(weights, obs), -1)
        random = jax.random.randint(random_key, best.shape, 0, env.num_actions)
        share = jnp.maximum(0.05, 1 - i * sizes.num_envs / (0.25 * sizes.total_timesteps))
        action = jnp.where(jax.random.uniform(greedy_key, best.shape) < share, random, best)
        step_keys = jax.random.split(step_key, sizes.num_envs)
        after, env_state, reward, terminated, _, info = jax.vmap(env.step, (0, 0, 0, None))(
            step_keys, env_state, action, params
        )
        new = {
            "obs": obs,
            "next": info["final_observation"],
            "action": action,
            "reward": reward,
            "done": terminated.astype(jnp.float32),
        }
        place = i * sizes.num_envs % rows
        buffer = {
            k: jax.lax.dynamic_update_slice_in_dim(v, new[k].astype(v.dtype), place, 0)
            for k, v in buffer.items()
        }

        def learn(args: Any) -> Any:
            weights, target, adam = args
            filled = jnp.minimum((i + 1) * sizes.num_envs, rows)
            picked = jax.random.randint(batch_key, (sizes.batch_size,), 0, filled)
            batch = {k: v[picked] for k, v in buffer.items()}
            value, gradient = jax.value_and_grad(loss)(weights, target, batch)
            change, adam = optimiser.update(gradient, adam)
            weights = optax.apply_updates(weights, change)
            target = jax.tree.map(lambda a, b: jnp.where(i % 250 == 0, a, b), weights, target)
            return (weights, target, adam), value

        ready = i * sizes.num_envs > 1000
        (weights, target, adam), value = jax.lax.cond(
            ready, learn, lambda args: (args, 0.0), (weights, target, adam)
        )
        carry = (weights, target, adam, buffer, after, env_state, key)
        return carry, {"loss": value, "done": terminated}

    carry = (weights, weights, optimiser.init(weights), buffer, obs, env_state, key)
    steps = jnp.arange(sizes.total_timesteps // sizes.num_envs)
    return jax.lax.scan(iteration, carry, steps)


def pqn(key: jax.Array, sizes: Sizes) -> Any:
    """Q(lambda) on rollouts of many environments, with epochs of minibatches."""
    env, params = gymnax.make(sizes.env.removeprefix("gymnax/"))
    network: Any = QNetwork(env.num_actions, sizes.width, norm=True)
    optimiser = optax.chain(optax.clip_by_global_norm(10.0), optax.radam(1e-3))
    key, init_key, reset_key = jax.random.split(key, 3)
    obs, env_state = jax.vmap(env.reset, (0, None))(
        jax.random.split(reset_key, sizes.num_envs), params
    )
    weights = network.init(init_key, obs)
    per_update = sizes.num_envs * sizes.num_steps

    def loss(weights: Any, batch: Any) -> jax.Array:
        obs, action, goal = batch
        chosen = jnp.take_along_axis(network.apply(weights, obs), action[:, None], -1)[:, 0]
        return 0.5 * jnp.mean((chosen - goal) ** 2)

    def act(carry: Any, key: jax.Array) -> Any:
        weights, obs, env_state = carry
        greedy_key, random_key, step_key = jax.random.split(key, 3)
        value = network.apply(weights, obs)
        random = jax.random.randint(random_key, (sizes.num_envs,), 0, env.num_actions)
        explore = jax.random.uniform(greedy_key, (sizes.num_envs,)) < 0.1
        action = jnp.where(explore, random, jnp.argmax(value, -1))
        step_keys = jax.random.split(step_key, sizes.num_envs)
        after, env_state, reward, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
            step_keys, env_state, action, params
        )
        done = (terminated | truncated).astype(jnp.float32)
        return (weights, after, env_state), (obs, action, reward, done, jnp.max(value, -1))

    def iteration(carry: Any, _: Any) -> Any:
        weights, radam, obs, env_state, key = carry
        key, act_key, learn_key = jax.random.split(key, 3)
        (_, obs, env_state), steps = jax.lax.scan(
            act, (weights, obs, env_state), jax.random.split(act_key, sizes.num_steps)
        )
        seen, action, reward, done, value = steps
        last = jnp.max(network.apply(weights, obs), -1)

        def backwards(carry: Any, step: Any) -> Any:
            goal, future = carry
            reward, done, value = step
            goal = reward + 0.99 * (1 - done) * (0.65 * goal + 0.35 * future)
            return (goal, value), goal

        _, goal = jax.lax.scan(backwards, (last, last), (reward, done, value), reverse=True)
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), (seen, action, goal))

        def epoch(carry: Any, key: jax.Array) -> Any:
            order = jax.random.permutation(key, per_update)
            parts = jax.tree.map(
                lambda x: x[order].reshape(sizes.num_minibatches, -1, *x.shape[1:]), batch
            )

            def minibatch(carry: Any, part: Any) -> Any:
                weights, radam = carry
                value, gradient = jax.value_and_grad(loss)(weights, part)
                change, radam = optimiser.update(gradient, radam)
                return (optax.apply_updates(weights, change), radam), value

            return jax.lax.scan(minibatch, carry, parts)

        (weights, radam), value = jax.lax.scan(
            epoch, (weights, radam), jax.random.split(learn_key, sizes.update_epochs)
        )
        return (weights, radam, obs, env_state, key), {"loss": value, "done": done}

    carry = (weights, optimiser.init(weights), obs, env_state, key)
    return jax.lax.scan(iteration, carry, None, sizes.total_timesteps // per_update)
