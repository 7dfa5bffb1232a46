"""Scenes: functions (canvas, rng, options) that each draw one family of backgrounds."""
