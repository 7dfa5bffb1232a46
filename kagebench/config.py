"""Reading, checking and writing environment configurations.

A configuration is a nested plain dict with exactly the keys of `kagebench.schema.SCHEMA`. It is
read from a YAML file, from a shipped configuration or from a dict, in which every key may be
absent: it then takes the default of the table, as in KAGE-Bench (arXiv 2601.14232). Unlike
there, a key that is unknown, wrongly typed, out of range or contradictory is an error.

A file may start from another one with ``base: NAME_OR_PATH`` (relative to the file). Its own
keys then replace those of the base. Setting one source of images or skins drops the inherited
others of the same group; turning on one of `use_sprites` and `use_shape` turns off the other.
"""

import contextlib
import copy
import functools
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from kagebench import schema
from kagebench.schema import dotted, nearest, show

Flat = dict[str, Any]

CONFIG_DIR = Path(__file__).parent / "configs"
SHIPPED = tuple(sorted(path.stem for path in CONFIG_DIR.glob("*.yaml")))
FROM_DICT, FROM_TEXT = "<dict>", "<text>"  # what messages name instead of a file


class ConfigError(ValueError):
    """A configuration that cannot be used; one line naming file, key, value and what is allowed."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))


def load(source: str | Path | Mapping[str, Any], *, check_files: bool = False) -> dict[str, Any]:
    """Read and check a configuration.

    Args:
        source: path of a YAML file, name of a shipped configuration (`SHIPPED`), YAML text (a
            string with a line break), or a nested mapping (sections are mappings).
        check_files: also check that the images and skins in use are found, as given or in the
            default asset pack.

    Returns:
        A new nested dict with all keys: aliases resolved, numbers as int or float, pools as
        lists, no `base`. Loading it again returns an equal dict.

    Raises:
        ConfigError: names file ("<dict>", "<text>"), dotted key, value and what is allowed.
    """
    name, given = _read(source, Path(), (), "")
    config = _fill(given)
    problem = next(_contradictions(config, given), None)
    if problem is not None:
        raise ConfigError(f"{name}: {problem}")
    if check_files:
        _check_files(name, config)
    return schema.nest(config)


def dump(config: Mapping[str, Any]) -> str:
    """YAML text of a configuration with all keys written out; ``load`` of it gives it back.

    Raises:
        ConfigError: the configuration is not valid.
    """
    return yaml.safe_dump(load(config), sort_keys=False, default_flow_style=None, width=100)


def save(config: Mapping[str, Any], path: str | Path) -> None:
    """Write `dump(config)` to `path`; an existing file is replaced as a whole or not at all.

    Raises:
        ConfigError: the configuration is not valid, or the file cannot be written.
    """
    text, target = dump(config), Path(path)
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error


def _read(source: object, folder: Path, chain: tuple[Path, ...], asker: str) -> tuple[str, Flat]:
    """Name of `source` for messages, and its checked keys on top of those of its base."""
    name, place, data = _open(source, folder, asker)
    chain = _extend(name, chain, place)
    base = data.pop("base", None)
    own = _check_keys(name, data)
    if base is None:
        return name, own
    if not isinstance(base, str | Path):
        raise ConfigError(f"{name}: base: got {show(base)}, allowed: a path or {_shipped()}")
    _, inherited = _read(base, place.parent if place else folder, chain, f"{name}: base: ")
    return name, _override(inherited, own)


def _open(source: object, folder: Path, asker: str) -> tuple[str, Path | None, dict[Any, Any]]:
    """Name for messages, place on disk (None for a mapping) and content of a source."""
    if isinstance(source, Mapping):
        return FROM_DICT, None, dict(source)
    if not isinstance(source, str | Path):
        raise ConfigError(f"configuration: got {show(source)}, allowed: a mapping, path or name")
    if source in SHIPPED:
        place = CONFIG_DIR / f"{source}.yaml"
        return str(source), place, dict(_parse_shipped(place))
    if isinstance(source, str) and "\n" in source:
        return FROM_TEXT, None, _parse_yaml(FROM_TEXT, source)
    place = folder / source
    if not _exists(place):
        near = nearest(source, SHIPPED)
        hint = f" (did you mean {near}?)" if near else ""
        raise ConfigError(f"{asker}{place}: no such file{hint}, allowed: a path or {_shipped()}")
    return str(place), place, _parse_yaml(str(place), _read_text(str(place), place))


def _exists(place: Path) -> bool:
    try:
        return place.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _extend(name: str, chain: tuple[Path, ...], place: Path | None) -> tuple[Path, ...]:
    """The chain of bases with `place` at its end; an error when it is in there already."""
    if place is None:
        return chain
    place = place.resolve()
    if place in chain:
        circle = " -> ".join(link.name for link in (*chain[chain.index(place) :], place))
        raise ConfigError(f"{name}: base: circular ({circle}), allowed: no way back to itself")
    return (*chain, place)


def _shipped() -> str:
    return f"one of {' '.join(SHIPPED)}"


@functools.cache
def _parse_shipped(place: Path) -> dict[Any, Any]:
    return _parse_yaml(place.stem, _read_text(place.stem, place))


def _read_text(name: str, place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: cannot be read (not UTF-8 text)") from error


def _parse_yaml(name: str, text: str) -> dict[Any, Any]:
    """Content of YAML text whose top level is a mapping ({} for empty text)."""
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        _reject_duplicates(name, node)
        data = loader.construct_document(node) if node is not None else None
        data = {} if data is None else data
    except ConfigError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}: line {line}: not YAML ({error.problem})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{name}: not YAML ({reason})") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: top level: got {show(data)}, allowed: a mapping of keys")
    return data


def _reject_duplicates(name: str, node: yaml.Node | None, section: str = "") -> None:
    """YAML keeps the last of two equal keys without a word; here that is an error."""
    first: dict[str, int] = {}
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        path, line = dotted(section, key.value), key.start_mark.line + 1
        if path in first and key.tag != "tag:yaml.org,2002:merge":
            lines = f"lines {first[path]} and {line}"
            raise ConfigError(f"{name}: {path}: given on {lines}, allowed: once")
        first[path] = line
        if not section:
            _reject_duplicates(name, value, path)


def _check_keys(name: str, data: Mapping[Any, Any]) -> Flat:
    """One layer: every key known, every value allowed; aliases become canonical keys."""
    flat: Flat = {}
    for section, content in data.items():
        if section and section in schema.SECTIONS:
            flat |= _check_section(name, section, content)
        elif "." in str(section):
            group, _, leaf = str(section).partition(".")
            raise ConfigError(f"{name}: {section}: dotted key, allowed: {leaf} inside {group}")
        else:
            flat |= _check_section(name, "", {section: content})
    return flat


def _check_section(name: str, section: str, content: object) -> Flat:
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{name}: {section}: got {show(content)}, allowed: a mapping of keys")
    given = {dotted(section, leaf): value for leaf, value in content.items()}
    flat: Flat = {}
    for path, value in given.items():
        target, key = schema.ALIASES.get(path, (path, schema.SCHEMA.get(path)))
        if key is None:
            raise _unknown(name, path)
        if target != path and target in given:
            raise ConfigError(f"{name}: {path}: given with {target}, allowed: one of the two")
        try:
            flat[target] = schema.parse(schema.SCHEMA[target], schema.parse(key, value))
        except ValueError as error:
            raise ConfigError(f"{name}: {path}: {error}") from error
    return flat


def _unknown(name: str, path: str) -> ConfigError:
    """Error for an unknown key: names what is most like it, in its section first."""
    section, _, leaf = path.rpartition(".")
    known = [*schema.SCHEMA, *schema.ALIASES]
    here = {key.rpartition(".")[2]: key for key in known if key.rpartition(".")[0] == section}
    if not section:
        here |= {group: group for group in schema.SECTIONS if group}
    anywhere = {key.rpartition(".")[2]: key for key in known}
    for candidates in (here, anywhere):
        near = nearest(leaf, candidates)
        if near:
            return ConfigError(f"{name}: {path}: unknown key (did you mean {candidates[near]}?)")
    return ConfigError(f"{name}: {path}: unknown key, allowed: {' '.join(here)}")


def _override(inherited: Flat, own: Flat) -> Flat:
    """Keys of a base with those of its heir on top."""
    dropped = {
        key for group in schema.SOURCES if any(own.get(one) for one in group) for key in group
    }
    merged = {key: value for key, value in inherited.items() if key not in dropped} | own
    if any(own.get(look) for look in schema.LOOKS):
        merged |= {look: own.get(look, False) for look in schema.LOOKS}
    return merged


def _fill(given: Flat) -> Flat:
    """All keys in the order of the table; absent ones take their default."""
    config = {path: copy.copy(given.get(path, key.default)) for path, key in schema.SCHEMA.items()}
    if not any(path.startswith("layout.") for path in given):
        config |= {"layout.length": 16 * config["W"], "layout.height_px": config["H"]}
    return config


def _contradictions(config: Flat, given: Flat) -> Iterator[str]:
    """Problems that involve more than one key, as "key: what is wrong, allowed: ..."."""
    yield from _source_problems(config)
    yield from _look_problems(config, given)
    yield from _order_problems(config, given)


def _source_problems(config: Flat) -> Iterator[str]:
    for group in schema.SOURCES:
        used = [key for key in group if config[key]]
        if len(used) > 1:
            value = show(config[used[1]])
            yield f"{used[1]}: got {value} with {used[0]} given, allowed: one of {' '.join(group)}"
    for key, group in _needed(config):
        if not any(config[source] for source in group):
            value = show(config[key])
            yield f"{key}: got {value} without a source, allowed: with one of {' '.join(group)}"


def _needed(config: Flat) -> list[tuple[str, tuple[str, ...]]]:
    """The switches that are on, each with the group of sources that it reads."""
    return [(key, group) for key, value, group in schema.NEEDS if config[key] == value]


def _look_problems(config: Flat, given: Flat) -> Iterator[str]:
    sprites, shape = (config[key] for key in schema.LOOKS)
    if sprites and shape:
        yield "character.use_shape: got true with character.use_sprites true, allowed: one of them"
    # A rectangle is what remains; giving its colour tells it from a look forgotten.
    rectangle = "character.fallback_color" in given
    if not sprites and not shape and not rectangle and all(key in given for key in schema.LOOKS):
        yield (
            "character.use_shape: got false with character.use_sprites false, "
            "allowed: one of them true, or a fallback_color for a plain rectangle"
        )


def _order_problems(config: Flat, given: Flat) -> Iterator[str]:
    for low, high, equal in schema.ORDERED:
        smaller, larger = config[low], config[high]
        if smaller is None and larger is None:
            continue
        if smaller is None or larger is None:
            alone, other = (high, low) if smaller is None else (low, high)
            yield f"{alone}: got {show(config[alone])} without {other}, allowed: both or none"
        elif smaller > larger or (smaller == larger and not equal):
            # Blame the key that the user wrote; between two of them, the smaller one.
            wrong, limit = (low, high) if low in given else (high, low)
            sign = ("<" if wrong == low else ">") + ("=" if equal else "")
            origin = "" if limit in given else " (default)"
            bound = f"{sign} {limit} = {show(config[limit])}{origin}"
            yield f"{wrong}: got {show(config[wrong])}, allowed: {bound}"


def _check_files(name: str, config: Flat) -> None:
    """Every image and skin in use is found, as given or in the default asset pack."""
    from kagebench.assets import AssetError, default_pack  # Pillow and numpy only when needed

    for key in (key for _, group in _needed(config) for key in group if config[key]):
        paths = config[key] if isinstance(config[key], list) else [config[key]]
        try:
            pack = default_pack()
            for path in paths:
                pack.find(path)
        except AssetError as error:
            raise ConfigError(f"{name}: {key}: {error}") from error
