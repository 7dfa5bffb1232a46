"""``kagebench sweep``: hyper-parameter studies; every subcommand is a module ``_sweep_NAME``."""

# In the order of `kagebench sweep --help`.
COMMANDS = {
    "plan": "show what a study file amounts to: trials, programs, memory, time",
}
