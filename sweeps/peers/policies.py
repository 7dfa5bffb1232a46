"""PPO and SAC."""

from typing import Any

import flax.linen as nn
import gymnax
import jax
import jax.numpy as jnp
import optax

from sweeps.peers.sizes import Sizes

# --- PPO ------------------------------------------------------------------------------------------


class ActorCritic(nn.Module):
    """Logits and value on two shared hidden layers."""

    num_actions: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        for _ in range(2):
            x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(self.num_actions)(x), nn.Dense(1)(x)[..., 0]


def log_prob_of(logits: jax.Array, action: jax.Array) -> jax.Array:
    """Logarithm of the probability of an action."""
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]


def ppo(key: jax.Array, sizes: Sizes) -> Any:
    """PPO with clipping; time limits count as terminations, as is common in such loops."""
    env, params = gymnax.make(sizes.env.removeprefix("gymnax/"))
    network: Any = ActorCritic(env.num_actions, sizes.width)
    optimiser = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(2.5e-4, eps=1e-5))
    key, init_key, reset_key = jax.random.split(key, 3)
    obs, env_state = jax.vmap(env.reset, (0, None))(
        jax.random.split(reset_key, sizes.num_envs), params
    )
    weights = network.init(init_key, obs)
    per_update = sizes.num_envs * sizes.num_steps

    def loss(weights: Any, batch: Any) -> jax.Array:
        obs, action, old, advantage, goal = batch
        logits, new = network.apply(weights, obs)
        ratio = jnp.exp(log_prob_of(logits, action) - old)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage).mean()
        error = 0.5 * jnp.square(new - goal).mean()
        entropy = -jnp.sum(jax.nn.softmax(logits) * jax.nn.log_softmax(logits), -1).mean()
        return -gain + 0.5 * error - 0.01 * entropy

    def act(carry: Any, key: jax.Array) -> Any:
        weights, obs, env_state = carry
        action_key, step_key = jax.random.split(key)
        logits, value = network.apply(weights, obs)
        action = jax.random.categorical(action_key, logits)
        step_keys = jax.random.split(step_key, sizes.num_envs)
        after, env_state, reward, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
            step_keys, env_state, action, params
        )
        done = (terminated | truncated).astype(jnp.float32)
        steps = (obs, action, log_prob_of(logits, action), value, reward, done)
        return (weights, after, env_state), steps

    def iteration(carry: Any, _: Any) -> Any:
        weights, adam, obs, env_state, key = carry
        key, act_key, learn_key = jax.random.split(key, 3)
        (_, obs, env_state), steps = jax.lax.scan(
            act, (weights, obs, env_state), jax.random.split(act_key, sizes.num_steps)
        )
        seen, action, old, value, reward, done = steps
        last = network.apply(weights, obs)[1]

        def backwards(carry: Any, step: Any) -> Any:
            advantage, future = carry
            reward, done, value = step
            error = reward + 0.99 * (1 - done) * future - value
            advantage = error + 0.99 * 0.95 * (1 - done) * advantage
            return (advantage, value), advantage

        start = (jnp.zeros_like(last), last)
        _, advantage = jax.lax.scan(backwards, start, (reward, done, value), reverse=True)
        batch = (seen, action, old, advantage, advantage + value)
        batch = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

        def epoch(carry: Any, key: jax.Array) -> Any:
            order = jax.random.permutation(key, per_update)
            parts = jax.tree.map(
                lambda x: x[order].reshape(sizes.num_minibatches, -1, *x.shape[1:]), batch
            )

            def minibatch(carry: Any, part: Any) -> Any:
                weights, adam = carry
                value, gradient = jax.value_and_grad(loss)(weights, part)
                change, adam = optimiser.update(gradient, adam)
                return (optax.apply_updates(weights, change), adam), value

            return jax.lax.scan(minibatch, carry, parts)

        keys = jax.random.split(learn_key, sizes.update_epochs)
        (weights, adam), value = jax.lax.scan(epoch, (weights, adam), keys)
        return (weights, adam, obs, env_state, key), {"loss": value, "done": done}

    carry = (weights, optimiser.init(weights), obs, env_state, key)
    return jax.lax.scan(iteration, carry, None, sizes.total_timesteps // per_update)


# --- SAC ------------------------------------------------------------------------------------------


class Layers(nn.Module):
    """Two hidden layers."""

    outputs: int
    width: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for _ in range(2):
            x = nn.relu(nn.Dense(self.width)(x))
        return nn.Dense(self.outputs)(x)


def sac(key: jax.Array, sizes: Sizes) -> Any:
    """SAC with two critics and a learned temperature; a gradient step per step of all
    environments, whose bounds of actions are symmetric."""
    env, params = gymnax.make(sizes.env.removeprefix("gymnax/"))
    space: Any = env.action_space(params)
    size, bound = space.shape[0], jnp.max(jnp.asarray(space.high))
    actor_net: Any = Layers(2 * size, sizes.width)
    pair: Any = nn.vmap(
        Layers,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=None,  # pyright: ignore
        axis_size=2,
    )
    critic_net = pair(1, sizes.width)
    optimiser = optax.adam(1e-3)
    key, actor_key, critic_key, reset_key = jax.random.split(key, 4)
    obs, env_state = jax.vmap(env.reset, (0, None))(
        jax.random.split(reset_key, sizes.num_envs), params
    )
    actor = actor_net.init(actor_key, obs)
    critic = critic_net.init(critic_key, jnp.zeros((1, obs.shape[1] + size)))
    rows = sizes.buffer_size
    buffer = {
        "obs": jnp.zeros((rows, *obs.shape[1:])),
        "next": jnp.zeros((rows, *obs.shape[1:])),
        "action": jnp.zeros((rows, size)),
        "reward": jnp.zeros(rows),
        "done": jnp.zeros(rows),
    }

    def sample(actor: Any, obs: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, log_std = jnp.split(actor_net.apply(actor, obs), 2, -1)
        log_std = jnp.clip(log_std, -5.0, 2.0)
        noise = jax.random.normal(key, mean.shape)
        raw = mean + jnp.exp(log_std) * noise
        density = -0.5 * jnp.square(noise) - log_std - 0.5 * jnp.log(2 * jnp.pi)
        density -= 2 * (jnp.log(2.0) - raw - jax.nn.softplus(-2 * raw))
        return jnp.tanh(raw), density.sum(-1)

    def value_of(critic: Any, obs: jax.Array, action: jax.Array) -> jax.Array:
        return critic_net.apply(critic, jnp.concatenate([obs, action], -1))[..., 0]

    def critic_loss(critic: Any, batch: Any, goal: jax.Array) -> jax.Array:
        error = value_of(critic, batch["obs"], batch["action"]) - goal
        return 0.5 * jnp.square(error).mean(1).sum()

    def actor_loss(actor: Any, critic: Any, alpha: jax.Array, obs: jax.Array, key: Any) -> Any:
        action, density = sample(actor, obs, key)
        value = value_of(critic, obs, action).min(0)
        return (alpha * density - value).mean(), density.mean()

    def iteration(carry: Any, i: jax.Array) -> Any:
        learner, buffer, obs, env_state, key = carry
        key, action_key, random_key, step_key, batch_key, goal_key, loss_key = jax.random.split(
            key, 7
        )
        action = sample(learner[0], obs, action_key)[0]
        random = jax.random.uniform(random_key, action.shape, minval=-1.0)
        action = jnp.where(i * sizes.num_envs < 1000, random, action)
        step_keys = jax.random.split(step_key, sizes.num_envs)
        after, env_state, reward, terminated, _, info = jax.vmap(env.step, (0, 0, 0, None))(
            step_keys, env_state, bound * action, params
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

        def learn(learner: Any) -> Any:
            actor, critic, target, log_alpha, adams = learner
            filled = jnp.minimum((i + 1) * sizes.num_envs, rows)
            picked = jax.random.randint(batch_key, (sizes.batch_size,), 0, filled)
            batch = {k: v[picked] for k, v in buffer.items()}
            alpha = jnp.exp(log_alpha)
            action, density = sample(actor, batch["next"], goal_key)
            future = value_of(target, batch["next"], action).min(0) - alpha * density
            goal = batch["reward"] + 0.99 * (1 - batch["done"]) * future
            value, gradient = jax.value_and_grad(critic_loss)(critic, batch, goal)
            change, critic_adam = optimiser.update(gradient, adams[1])
            critic = optax.apply_updates(critic, change)
            (_, density), gradient = jax.value_and_grad(actor_loss, has_aux=True)(
                actor, critic, alpha, batch["obs"], loss_key
            )
            change, actor_adam = optimiser.update(gradient, adams[0])
            actor = optax.apply_updates(actor, change)
            change, alpha_adam = optimiser.update(alpha * (size - density), adams[2])
            log_alpha = log_alpha + change
            target = optax.incremental_update(critic, target, 0.005)
            adams = (actor_adam, critic_adam, alpha_adam)
            return (actor, critic, target, log_alpha, adams), value

        learner, value = jax.lax.cond(
            i * sizes.num_envs > 1000, learn, lambda learner: (learner, 0.0), learner
        )
        return (learner, buffer, after, env_state, key), {"loss": value, "done": terminated}

    log_alpha = jnp.float32(0.0)
    adams = (optimiser.init(actor), optimiser.init(critic), optimiser.init(log_alpha))
    carry = ((actor, critic, critic, log_alpha, adams), buffer, obs, env_state, key)
    return jax.lax.scan(iteration, carry, jnp.arange(sizes.total_timesteps // sizes.num_envs))
