"""Bootstrap over agents for values of several groups of agents on different tasks.

Agents that were trained alike form a group; every agent of a group has a value on each of the
group's tasks. A resample draws, in every group, as many agents as there are, with replacement; an
agent comes with all its values, because those depend on the same training (a stratified cluster
bootstrap: Davison and Hinkley 1997, sections 2.4 and 3.8). A resample is represented by how often
each agent was drawn, so that statistics of all resamples are matrix products.
"""

from collections.abc import Mapping

import numpy as np

RESAMPLES = 50_000
LEVEL = 0.95
_BLOCK = 5_000

Counts = Mapping[str, np.ndarray]


def draw_counts(
    sizes: Mapping[str, int], resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, np.ndarray]:
    """How often each agent is drawn: group -> float32 [resamples, size], whole numbers.

    Args:
        sizes: group -> number of its agents.
        resamples: number of bootstrap samples.
        seed: of the drawing.
    """
    streams = np.random.SeedSequence(seed).spawn(len(sizes))
    return {
        name: np.random.default_rng(stream)
        .multinomial(size, np.full(size, 1.0 / size), size=resamples)
        .astype(np.float32)
        for (name, size), stream in zip(sizes.items(), streams, strict=True)
    }


def resampled_means(counts: Counts, groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """Mean over tasks of the mean over agents, of every resample.

    Args:
        counts: group -> [R, agents], from `draw_counts`; may hold other groups too.
        groups: group -> values [agents, tasks, K].

    Returns:
        float64 [R, K].
    """
    num_tasks = sum(group.shape[1] for group in groups.values())
    parts = [
        counts[name].astype(np.float64) @ (group.sum(axis=1) / (len(group) * num_tasks))
        for name, group in groups.items()
    ]
    return np.sum(parts, axis=0)


def resampled_iqms(counts: Counts, groups: Mapping[str, np.ndarray]) -> np.ndarray:
    """Interquartile mean (`kagebench.stats.iqm`) of all values of every resample.

    Args and returns as for `resampled_means`.
    """
    drawn = np.concatenate([counts[name] for name in groups], axis=1)
    values = np.concatenate([group.reshape(-1, group.shape[2]) for group in groups.values()])
    num_tasks = [group.shape[1] for group in groups.values() for _ in group]
    owner = np.repeat(np.arange(len(num_tasks)), num_tasks)
    return np.stack([_iqm(drawn, owner, column) for column in values.T], axis=1)


def _iqm(drawn: np.ndarray, owner: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Interquartile means [R] of values [N], given how often their owners [N] are drawn [R, A].

    All resamples have N values. With the values in ascending order x_1 <= ... <= x_N and c_i the
    number of drawn ones among the first i, value i is kept clip(c_i) - clip(c_(i-1)) times, where
    clip limits to [cut, N - cut]. Summed by parts, the sum of what is kept is
    x_N clip(N) - x_1 clip(0) - sum over i < N of (x_(i+1) - x_i) clip(c_i).
    """
    order = np.argsort(values, kind="stable")
    values, owner = values[order], owner[order]
    size = len(values)
    cut = size // 4
    # How many of the first i values belong to each agent; sums of small integers are exact.
    among = (owner[None, :-1] == np.arange(drawn.shape[1])[:, None]).cumsum(axis=1, dtype="f4")
    steps = np.diff(values)
    found = np.empty(len(drawn))
    for start in range(0, len(drawn), _BLOCK):
        block = slice(start, start + _BLOCK)
        below = np.clip(drawn[block] @ among, cut, size - cut)
        found[block] = below @ steps
    return (values[-1] * (size - cut) - values[0] * cut - found) / (size - 2 * cut)


def interval(estimates: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval (low, high) of estimates [R, ...]."""
    tail = 50.0 * (1.0 - level)
    low, high = np.percentile(estimates, (tail, 100.0 - tail), axis=0)
    return low, high
