"""Chunks on a Ray cluster: a backend of `sweeps.runner` (needs the extra ``ray``).

Every chunk is a task. The folder of the study must be the same path on all machines (a shared file
system). A task whose worker dies is started again and goes on from the chunk's last checkpoint, so
nothing is lost and nothing is done twice.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax

from sweeps import local
from sweeps.chunks import Chunk
from sweeps.local import Job
from sweeps.runner import Backend
from sweeps.space import StudyError

RETRIES = 10


def connect(address: str | None = None, cpus: float = 1.0, gpus: float = 0.0) -> Backend:
    """A backend that runs chunks on a cluster.

    Args:
        address: of the cluster, as in ``ray.init``; None starts one on this machine, or joins that
            of RAY_ADDRESS.
        cpus, gpus: what a chunk needs; how many run at the same time follows from it.

    Raises:
        StudyError: ray is not installed, or no cluster is there.
    """
    try:
        import ray
    except ImportError as error:
        raise StudyError("backend: ray is not installed: pip install 'kagebench[ray]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, include_dashboard=False)
        except (ConnectionError, ValueError) as error:
            raise StudyError(f"ray: no cluster at {address!r} ({error})".splitlines()[0]) from error
    return partial(run, ray, cpus, gpus)


def run(ray: Any, cpus: float, gpus: float, jobs: Sequence[Job]) -> Iterator[tuple[Chunk, Any]]:
    """Run jobs and tell what became of each, the first finished first."""
    options = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": RETRIES}
    task = ray.remote(**options)(run_chunk)
    cache = jax.config.jax_compilation_cache_dir  # pyright: ignore
    waiting = {
        task.remote(job._replace(folder=job.folder.absolute()), cache): job.chunk for job in jobs
    }
    while waiting:
        done, _ = ray.wait(list(waiting), num_returns=1)
        yield waiting.pop(done[0]), ray.get(done[0])


def run_chunk(job: Job, cache: str | None) -> local.Outcome:
    """What a worker does."""
    jax.config.update("jax_compilation_cache_dir", cache)
    return local.run(job, progress=False)
