"""Reinforcement-learning algorithms, one file each, all with the same four names.

A module of this package offers ``Config`` (a ``flax.struct`` dataclass whose leaves are traced
hyper-parameters and whose static fields decide shapes and control flow), ``init``, ``update`` and
``policy``. All of them are pure functions over pytrees, so that seeds, hyper-parameters and
environments can be batch axes of one program (:mod:`sweeps`).
"""
