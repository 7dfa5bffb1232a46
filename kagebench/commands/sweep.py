"""``kagebench sweep``: hyper-parameter studies; every subcommand is a module ``_sweep_NAME``."""

# In the order of `kagebench sweep --help`.
COMMANDS = {
    "plan": "show what a study file amounts to: trials, programs, memory, time",
    "run": "run a study, or what an earlier call left undone",
    "merge": "join the shards of a study",
    "report": "write a page about a study: best points, importance, effort of tuning",
}
