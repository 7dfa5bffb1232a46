"""``kagebench gallery``: every visual axis at several values in one picture."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kagebench import gallery
from kagebench.commands._output import check_output, replacing
from sweeps.engine import use_compile_cache


@dataclass(frozen=True)
class Args:
    """Draw every visual axis at several values: one level, one moment, one compiled program."""

    output: Path = Path("gallery.png")
    """The picture, a PNG file."""
    assets: str | None = None
    """Folder of an art pack; by default KAGEBENCH_ASSETS or the shipped one."""
    seed: int = gallery.SEED
    """Chooses the level and everything else that is drawn at random."""


def run(args: Args) -> None:
    """Draw and write the picture.

    Raises:
        ValueError: an option is not valid.
    """
    check_output(args.output, (".png",))
    console = Console(highlight=False)
    use_compile_cache()
    with console.status("drawing about 170 configurations"):
        picture = gallery.draw(args.assets, args.seed)
    with replacing(args.output) as part:
        gallery.compact(picture).save(part, optimize=True)
    size = args.output.stat().st_size / 1e6
    console.print(
        f"{args.output}: {picture.width} x {picture.height}, {size:.1f} MB", soft_wrap=True
    )
