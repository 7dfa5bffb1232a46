"""Command line: ``python -m sweeps.evidence NAME [KEY ...]``."""

import argparse
import sys
from pathlib import Path

from sweeps.evidence import plot, record, table
from sweeps.space import StudyError
from sweeps.store import FolderError


def main() -> None:
    """Run the experiments of an algorithm, or write the table of all."""
    parser = argparse.ArgumentParser(
        prog="python -m sweeps.evidence", description="Measure what papers claim."
    )
    parser.add_argument(
        "name",
        help="an algorithm; table: write algorithms/README.md; judge: all stored studies again, by "
        "rules that changed",
    )
    parser.add_argument("keys", nargs="*", metavar="KEY", help="experiments; all if none is given")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/evidence"), help="folder of the studies"
    )
    options = parser.parse_args()
    try:
        if options.name in ("table", "judge") and options.keys:
            raise ValueError(f"{options.name}: got {' '.join(options.keys)!r}, allowed: no KEY")
        if options.name == "table":
            print(f"wrote {table.write()}")
            return
        if options.name == "judge":
            for name in record.names():
                record.judge(name)
            return
        record.run(options.name, options.keys, options.runs)
        plot.draw(options.name)
    except (ValueError, OSError, StudyError, FolderError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
