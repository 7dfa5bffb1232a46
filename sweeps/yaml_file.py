"""Reading YAML in which 1e-4 is a number and no key is given twice."""

import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from sweeps.domains import StudyError


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as it is meant here."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        first: dict[Any, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in first and key.tag != "tag:yaml.org,2002:merge":
                lines = f"lines {first[key.value]} and {line}"
                raise StudyError(f"{key.value}: given on {lines}, allowed: once")
            first[key.value] = line
        return super().construct_mapping(node, deep)


# YAML 1.1 wants a dot and a sign in the exponent, and takes 1e-4 for a text.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read(path: Path) -> Any:
    """Content of a YAML file.

    Raises:
        StudyError: it cannot be read, or is not YAML; does not name the file.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise StudyError("cannot be read (not UTF-8 text)") from error


def parse(text: str) -> Any:
    """Content of YAML text.

    Raises:
        StudyError: it is not YAML, or gives a key twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise StudyError(f"line {line}: not YAML ({error.problem})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, StudyError):
            raise
        raise StudyError(f"not YAML ({' '.join(str(error).split())})") from error
