"""PPO: several epochs on one rollout, with and without clipping, and what its options claim."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from algorithms import ppo
from algorithms.common import distributions, surrogates
from sweeps import space
from sweeps.evidence.spec import (
    Measurement,
    Point,
    Sweep,
    Verdict,
    difference,
    find,
    in_words,
    interval,
    measured,
)
from sweeps.study import Objective, Study

NO_CLIP = 1e6
LAST = Objective("return", "max", 0.2)
BANG_BANG = "Seyde et al. 2021, arXiv 2111.02552"
CUI = "Cui et al. 2025, arXiv 2505.22617"
# CartPole, in about ten seconds for a point of eight seeds.
CARTPOLE = {
    "num_envs": 8,
    "num_steps": 128,
    "num_minibatches": 4,
    "learning_rate": 2.5e-3,
    "gamma": 0.99,
    "reward_scale": 0.1,
    "total_timesteps": 102_400,
}

# --- Epochs ---------------------------------------------------------------------------------------


def epochs() -> Study:
    """Epochs on CartPole, whose value coefficients and entropy bonus are those of the preset."""
    return Study(
        "ppo",
        "gymnax/CartPole-v1",
        preset="state",
        seeds=8,
        set=CARTPOLE,
        space={
            "update_epochs": space.choice(1, 4, 16),
            "clip_coef": space.choice(0.2, NO_CLIP),
        },
        objective=Objective("return", "max", 0.3),
    )


def judge_epochs(points: list[Point]) -> Verdict:
    """Whether several epochs help, and clipping is what makes many of them safe ("partly": one)."""
    one, several, many = (find(points, update_epochs=n, clip_coef=0.2) for n in (1, 4, 16))
    gain = difference(several, one, 2)
    saved = difference(many, find(points, update_epochs=16, clip_coef=NO_CLIP), 2)
    checks = (gain[1] > 0.0, saved[1] > 0.0)
    outcome = "reproduced" if all(checks) else "partly" if any(checks) else "not"
    return Verdict(
        outcome,
        f"1, 4, 16 epochs: {in_words(one, 0)}, {in_words(several, 0)}, {in_words(many, 0)}; "
        f"4 - 1: {gain[0]:+.0f} [{gain[1]:+.0f}, {gain[2]:+.0f}]; 16 epochs with - without "
        f"clipping: {saved[0]:+.0f} [{saved[1]:+.0f}, {saved[2]:+.0f}]",
    )


def reuse() -> Study:
    """What keeps the policy near the old one, over epochs on a rollout."""
    return Study(
        "ppo",
        "gymnax/CartPole-v1",
        preset="state",
        seeds=8,
        set=CARTPOLE,
        space={
            "update_epochs": space.choice(4, 16),
            "surrogate": space.choice("clip", "kl", "r2"),
        },
        # Over the whole run: in a first one all of them had 500 in its last third.
        objective=Objective("return", "max", 1.0),
    )


def judge_reuse(points: list[Point]) -> Verdict:
    """Whether the constraint on the ratios' variance beats clipping where data are reused most, and
    there by more than where they are reused less ("partly": only the first)."""
    texts = []
    for epochs in (4, 16):
        scores = [find(points, update_epochs=epochs, surrogate=n) for n in ("clip", "kl", "r2")]
        texts.append(f"{epochs} epochs: " + ", ".join(in_words(p, 0) for p in scores))
    at_most = {n: find(points, update_epochs=16, surrogate=n) for n in ("clip", "r2")}
    mean, low, high = difference(at_most["r2"], at_most["clip"])
    less = {n: find(points, update_epochs=4, surrogate=n) for n in ("clip", "r2")}
    more = interval(gain_of(at_most, "r2", "clip") - gain_of(less, "r2", "clip"))
    outcome = "not" if low <= 0.0 else "reproduced" if more[0] > 0.0 else "partly"
    return Verdict(
        outcome,
        f"return with clip, kl, r2 at {'; at '.join(texts)}; r2 - clip at 16: "
        f"{mean:+.0f} [{low:+.0f}, {high:+.0f}], more than at 4 by [{more[0]:+.0f}, "
        f"{more[1]:+.0f}]",
    )


def gain_of(points: dict[str, Point], one: str, other: str) -> np.ndarray:
    """Differences of scores, float64 (S,)."""
    return points[one].scores - points[other].scores


# --- Invalid actions ------------------------------------------------------------------------------

SIZES = (4, 10, 16)


def masking() -> Study:
    """Masks against penalties, on maps where 64, 400 and 1024 actions exist and 4 are valid."""
    return Study(
        "ppo",
        [f"grid/invalid-actions-{size}" for size in SIZES],
        seeds=4,
        set={
            "network": "minatar",
            "num_envs": 8,
            "num_steps": 128,
            "num_minibatches": 4,
            "update_epochs": 4,
            "learning_rate": 1e-3,
            "gamma": 0.97,
            "reward_scale": 0.5,
            "total_timesteps": 20_480,
        },
        space={
            "mask_actions": space.choice(False, True),
            "env.invalid_penalty": space.conditional(
                space.choice(0.0, 0.01, 0.1), when={"mask_actions": [False]}
            ),
        },
        objective=LAST,
    )


def judge_masking(points: list[Point]) -> Verdict:
    """Whether masking beats the best penalty on all maps, and by more on the largest than on the
    smallest ("partly": on some)."""
    texts, gains, better = [], [], []
    for size in SIZES:
        here = {"env": f"grid/invalid-actions-{size}"}
        masked = find(points, mask_actions=True, **here)
        others = [
            find(points, mask_actions=False, **here, **{"env.invalid_penalty": penalty})
            for penalty in (0.0, 0.01, 0.1)
        ]
        best = max(others, key=lambda point: point.scores.mean())
        gains.append(masked.scores - best.scores)
        mean, low, high = difference(masked, best, len(SIZES))
        better.append(low > 0.0)
        texts.append(
            f"{4 * size * size} actions: {in_words(masked)} against {in_words(best)}, "
            f"difference {mean:+.1f} [{low:+.1f}, {high:+.1f}]"
        )
    more = interval(gains[-1] - gains[0])
    outcome = "not"
    if any(better):
        outcome = "reproduced" if all(better) and more[0] > 0.0 else "partly"
    return Verdict(
        outcome,
        f"return with masks against the best penalty, {'; '.join(texts)}; largest minus smallest "
        f"map [{more[0]:+.1f}, {more[1]:+.1f}]",
    )


# --- Bang-bang control ----------------------------------------------------------------------------


def bang_bang(env: str, **options: Any) -> Study:
    """Actions at the bounds against a Gaussian."""
    return Study(
        "ppo",
        env,
        preset="control",
        seeds=5,
        set=options,
        space={"head": space.choice("gaussian", "bernoulli")},
        objective=LAST,
    )


def judge_bang_bang(learned: float, points: list[Point]) -> Verdict:
    """Whether bang-bang control is at least as good, up to a tenth of the Gaussian's score, where
    agents have more than the return ``learned``."""
    gaussian, bernoulli = (find(points, head=name) for name in ("gaussian", "bernoulli"))
    mean, low, high = difference(bernoulli, gaussian)
    slack = 0.1 * abs(float(gaussian.scores.mean()))
    able = interval(bernoulli.scores)[0] > learned
    outcome = "reproduced" if able and low > -slack else "not"
    return Verdict(
        outcome,
        f"return {in_words(gaussian)} with the Gaussian, {in_words(bernoulli)} bang-bang; "
        f"difference {mean:+.1f} [{low:+.1f}, {high:+.1f}]",
    )


BOUNDS = (0.5, 1.0, 3.0)


def action_cost() -> Study:
    """A mass to be brought to rest, where a step at the bound u costs 0.1 u^2."""
    return Study(
        "ppo",
        "control/double-integrator",
        preset="control",
        seeds=5,
        # Short episodes, and observations as they are: without control the mass runs away.
        set={
            "gamma": 0.95,
            "norm_obs": False,
            "total_timesteps": 61_440,
            "env.max_steps_in_episode": 50,
        },
        space={
            "head": space.choice("gaussian", "bernoulli"),
            "env.max_action": space.choice(*BOUNDS),
        },
        objective=LAST,
    )


def judge_action_cost(points: list[Point]) -> Verdict:
    """Whether bang-bang control is as good, up to a tenth of the Gaussian's score, where actions at
    the bounds cost little, and falls behind where they are costly ("partly": only the second)."""
    changes, texts, scores = [], [], []
    for bound in BOUNDS:
        here = {"env.max_action": bound}
        bang_bang, gaussian = (find(points, head=h, **here) for h in ("bernoulli", "gaussian"))
        changes.append(bang_bang.scores - gaussian.scores)
        scores.append(float(gaussian.scores.mean()))
        texts.append(f"{bound:g}: {in_words(bang_bang)} against {in_words(gaussian)}")
    cheap, costly = interval(changes[0]), interval(changes[-1])
    falls = interval(changes[0] - changes[-1])
    as_good = cheap[0] > -0.1 * abs(scores[0])
    outcome = "not"
    if costly[1] < 0.0 and falls[0] > 0.0:
        outcome = "reproduced" if as_good else "partly"
    return Verdict(
        outcome,
        f"return bang-bang against Gaussian at bound {'; '.join(texts)}; difference at "
        f"{BOUNDS[0]:g} [{cheap[0]:+.1f}, {cheap[1]:+.1f}], at {BOUNDS[-1]:g} [{costly[0]:+.1f}, "
        f"{costly[1]:+.1f}], the first minus the last [{falls[0]:+.1f}, {falls[1]:+.1f}]",
    )


# --- Entropy --------------------------------------------------------------------------------------

BANDITS, ARMS, STEPS, SAMPLES = 64, 16, 300, 256
RATES = (0.01, 0.1, 0.5)
# Surrogates, and the weights of their penalties.
SURROGATES: dict[str, tuple[surrogates.Name, float]] = {
    "clip": ("clip", 1.0),
    "no clip": ("kl-cov", 0.0),
    "clip-cov": ("clip-cov", 1.0),
    "kl-cov": ("kl-cov", 1.0),
}


def entropy_law() -> tuple[list[dict[str, Any]], Verdict]:
    """Entropy on random softmax bandits: the law for one step, then training with surrogates."""
    keys = jax.random.split(jax.random.key(0), BANDITS)
    logits, advantages = jax.vmap(_bandit)(keys)
    rows: list[dict[str, Any]] = []
    for rate in RATES:
        law, change = jax.vmap(_natural_step, (0, 0, None))(logits, advantages, rate)
        error = float(jnp.linalg.norm(change - law) / jnp.linalg.norm(law))
        rows.append({"what": "natural gradient step", "rate": rate, "relative error": error})
    found = {}
    train_keys = jax.random.split(jax.random.key(1), BANDITS)
    for name, (surrogate, penalty) in SURROGATES.items():
        train = jax.jit(jax.vmap(partial(_train, surrogate, penalty)))
        entropy, regret = (np.asarray(x) for x in train(train_keys))
        found[name] = entropy
        rows.append(
            {
                "what": name,
                "entropy": float(entropy.mean()),
                "regret": float(regret.mean()),
                "bandits": BANDITS,
            }
        )
    # kl-cov does not clip either.
    pairs = {"clip-cov": "clip", "kl-cov": "no clip"}
    level = 1 - 0.05 / len(pairs)
    kept = {f"{n} - {o}": interval(found[n] - found[o], level) for n, o in pairs.items()}
    lawful = rows[0]["relative error"] < 0.05
    holds = [low > 0.0 for low, _ in kept.values()]
    outcome = "reproduced" if lawful and all(holds) else "partly" if any(holds) else "not"
    errors = ", ".join(f"{row['relative error']:.3f} at {row['rate']}" for row in rows[:3])
    texts = [f"{r['what']} {r['entropy']:.2f} (regret {r['regret']:.3f})" for r in rows[3:]]
    more = [f"{n} [{low:+.2f}, {high:+.2f}]" for n, (low, high) in kept.items()]
    return rows, Verdict(
        outcome,
        f"relative error of -eta Cov(log pi, A): {errors}; entropy after {STEPS} updates with "
        f"{', '.join(texts)}; {', '.join(more)}",
    )


def _bandit(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Logits of a policy (A,), and the advantages of the arms under it."""
    logits, reward = jax.random.normal(key, (2, ARMS))
    return logits, reward - jax.nn.softmax(logits) @ reward


def _natural_step(
    logits: jax.Array, advantage: jax.Array, rate: float
) -> tuple[jax.Array, jax.Array]:
    """What the law says of a natural gradient step on logits, and the change of the entropy."""
    p = jax.nn.softmax(logits)
    law = -rate * jnp.sum(p * jax.nn.log_softmax(logits) * (advantage - p @ advantage))
    change = distributions.entropy(logits + rate * advantage) - distributions.entropy(logits)
    return law, change


def _train(name: surrogates.Name, penalty: float, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Final entropy, and mean regret, of a bandit with noisy rewards: 4 steps per batch."""
    config = ppo.Config(
        surrogate=name, penalty_coef=penalty, cov_share=0.02, cov_low=0.5, cov_high=50.0
    )
    reward_key, train_key = jax.random.split(key)
    reward = jax.random.normal(reward_key, (ARMS,))

    def loss(logits, old_logits, action, advantage, step_key):
        log_prob = distributions.log_prob(jnp.broadcast_to(logits, (SAMPLES, ARMS)), action)
        old = distributions.log_prob(jnp.broadcast_to(old_logits, (SAMPLES, ARMS)), action)
        ratio = jnp.exp(log_prob - old)
        bounded = jnp.clip(ratio, 1.0 - config.clip_coef, 1.0 + config.clip_coef)
        losses = jnp.maximum(-advantage * ratio, -advantage * bounded)
        if name != "clip":
            losses = surrogates.losses(log_prob, old, advantage, losses, None, step_key, config)
        return jnp.mean(losses)

    def update(logits, update_key):
        action_key, noise_key, *step_keys = jax.random.split(update_key, 6)
        action = jax.random.categorical(action_key, logits, shape=(SAMPLES,))
        outcome = reward[action] + jax.random.normal(noise_key, (SAMPLES,))
        advantage = (outcome - outcome.mean()) / (outcome.std() + 1e-8)
        new = logits
        for step_key in step_keys:
            new -= 0.5 * jax.grad(loss)(new, logits, action, advantage, step_key)
        return new, reward.max() - jax.nn.softmax(new) @ reward

    keys = jax.random.split(train_key, STEPS)
    logits, regret = jax.lax.scan(update, jnp.zeros(ARMS), keys)
    return distributions.entropy(logits), jnp.mean(regret)


EXPERIMENTS = (
    Sweep(
        "epochs",
        "Schulman et al. 2017, arXiv 1707.06347",
        "several epochs on one rollout are safe, and better than one, if ratios are clipped",
        epochs,
        judge_epochs,
    ),
    Sweep(
        "pendulum",
        "Schulman et al. 2017, arXiv 1707.06347",
        "learning curve on Pendulum",
        lambda: Study("ppo", "gymnax/Pendulum-v1", preset="control", seeds=5, objective=LAST),
        measured,
    ),
    Sweep(
        "reuse",
        "Luo et al. 2026, arXiv 2601.03320; Schulman et al. 2017",
        "a constraint on the variance of ratios lets data be reused more than clipping does",
        reuse,
        judge_reuse,
        'surrogate="r2", "kl"',
    ),
    Sweep(
        "masking",
        "Huang and Ontanon 2022, arXiv 2006.14171",
        "masking beats penalties, by more as the share of invalid actions grows",
        masking,
        judge_masking,
        "mask_actions",
    ),
    Sweep(
        "bang-bang-pendulum",
        BANG_BANG,
        "actions at the bounds are as good as a Gaussian",
        partial(bang_bang, "gymnax/Pendulum-v1"),
        partial(judge_bang_bang, -400.0),
        'head="bernoulli"',
    ),
    Sweep(
        "bang-bang-swingup",
        BANG_BANG,
        "actions at the bounds are as good as a Gaussian",
        partial(bang_bang, "mjx/cartpole-swingup", gamma=0.99, total_timesteps=204_800),
        partial(judge_bang_bang, 300.0),
        'head="bernoulli"',
    ),
    Sweep(
        "bang-bang-double-pendulum",
        BANG_BANG,
        "actions at the bounds are as good as a Gaussian",
        partial(bang_bang, "brax/inverted-double-pendulum", gamma=0.99, total_timesteps=204_800),
        partial(judge_bang_bang, 1000.0),
        'head="bernoulli"',
    ),
    Sweep(
        "action-cost",
        BANG_BANG,
        "a cost of actions takes the advantage from bang-bang control",
        action_cost,
        judge_action_cost,
        'head="bernoulli"',
    ),
    Measurement(
        "entropy-law",
        CUI,
        "entropy changes by minus the covariance of log-probability and advantage per natural "
        "gradient step, and holding high-covariance samples back keeps it up",
        "softmax bandits",
        entropy_law,
        'surrogate="clip-cov", "kl-cov"',
    ),
)
