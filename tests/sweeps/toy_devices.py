"""Schedulers on four devices and on one; run by ``test_driver.py`` with four CPU devices."""

import sys
from pathlib import Path

from sweeps import engine
from tests.sweeps import toy_runs


def main(folder: Path) -> None:
    """Compare; raises an AssertionError where they differ."""
    # Six trials are spread over three devices, two over two: decisions move trials between them.
    assert [engine.choose_devices(count) for count in (18, 6, 2, 1)] == [3, 3, 2, 1]
    spread = engine.choose_devices
    for name in ("halving", "asha", "pbt"):
        # "map" does the same arithmetic on any number of devices.
        engine.choose_devices = spread
        four = toy_runs.run(name, folder / f"{name}-4", axis="map")
        engine.choose_devices = lambda count: 1
        one = toy_runs.run(name, folder / f"{name}-1", axis="map")
        toy_runs.assert_same(four, one)
    print("equal")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
