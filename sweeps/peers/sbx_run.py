"""DQN, PPO and SAC of SBX, run by a Python that has it: prints environment steps per second.

    PYTHON sbx_run.py NAME SIZES    # SIZES: the fields of sweeps.peers.sizes.Sizes, as JSON

Imports nothing of this project, so that SBX can live in an environment of its own.
"""

import json
import sys
import time
from typing import Any

# Gymnasium's environments that gymnax has written again.
ENVS = {"gymnax/CartPole-v1": "CartPole-v1", "gymnax/Pendulum-v1": "Pendulum-v1"}


def agent(name: str, sizes: dict[str, Any]) -> Any:
    """An agent with these sizes on as many environments in one process."""
    import sbx  # pyright: ignore[reportMissingImports]
    from stable_baselines3.common.env_util import (  # pyright: ignore[reportMissingImports]
        make_vec_env,
    )

    envs = make_vec_env(ENVS[sizes["env"]], n_envs=sizes["num_envs"])
    layers = {"net_arch": [sizes["width"]] * 2}
    if name == "ppo":
        rollout = sizes["num_envs"] * sizes["num_steps"]
        return sbx.PPO(
            "MlpPolicy",
            envs,
            n_steps=sizes["num_steps"],
            batch_size=rollout // sizes["num_minibatches"],
            n_epochs=sizes["update_epochs"],
            policy_kwargs=layers,
        )
    kind = {"dqn": sbx.DQN, "sac": sbx.SAC}[name]
    return kind(
        "MlpPolicy",
        envs,
        learning_starts=1000,
        batch_size=sizes["batch_size"],
        buffer_size=sizes["buffer_size"],
        train_freq=1,
        gradient_steps=1,
        policy_kwargs=layers,
    )


def main() -> None:
    """Train once to compile, then measure."""
    name, sizes = sys.argv[1], json.loads(sys.argv[2])
    model = agent(name, sizes)
    model.learn(4000)
    start = time.perf_counter()
    model.learn(sizes["total_timesteps"], reset_num_timesteps=False)
    print(sizes["total_timesteps"] / (time.perf_counter() - start))


if __name__ == "__main__":
    main()
