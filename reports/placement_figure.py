"""The meshes of crossbars as a picture: what each crossbar mostly holds, and where the states of each layer live."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path

from mapping import Mapping
from mapping.mesh import Placement, Site
from reports.figures import GRID, INK, MUTED, PAPER, render, short
from reports.quantities import plural

# Inches.
WIDTH = 10.6
LARGEST_CELL, SMALLEST_CELL = 0.62, 0.075
CELL_WITH_NUMBER = 0.2
CHIP_GAP = 0.3
CHIP_TITLE = 0.32
LEGEND_ENTRY, LEGEND_LINE = 2.0, 0.22
CHARACTER, LABEL_HEIGHT = 0.068, 0.15

LONGEST_HUB = 24


def mostly_held(mapping: Mapping) -> list[str]:
    """Of each crossbar, the coupling that has the most devices in it; of several, the first."""
    held: list[dict[str, int]] = [{} for _ in range(mapping.crossbars)]
    for matrix in mapping.matrices.values():
        for tile in matrix.tiles:
            weights = (tile.rows[1] - tile.rows[0]) * (tile.columns[1] - tile.columns[0])
            here = held[tile.crossbar]
            here[matrix.coupling] = here.get(matrix.coupling, 0) + weights
    return [max(here, key=lambda name: here[name]) for here in held]


@dataclass(frozen=True)
class Sheet:
    """Where chips are drawn: side by side, as many as fit, then the next line. All in inches, y downwards."""

    mesh: tuple[int, int]
    chips: int

    @property
    def cell(self) -> float:
        """Side of a crossbar: as large as lets all chips stand in one line, within limits."""
        across = (WIDTH - CHIP_GAP * (self.chips + 1)) / (self.chips * self.mesh[1])
        alone = (WIDTH - 2 * CHIP_GAP) / self.mesh[1]  # a chip must fit, however small its crossbars become
        return min(max(across, SMALLEST_CELL), LARGEST_CELL, alone)

    @property
    def chip(self) -> tuple[float, float]:
        """Height and width of one."""
        return self.mesh[0] * self.cell, self.mesh[1] * self.cell

    @property
    def chips_in_line(self) -> int:
        return max(1, min(self.chips, int((WIDTH - CHIP_GAP) / (self.chip[1] + CHIP_GAP))))

    @property
    def height(self) -> float:
        lines = math.ceil(self.chips / self.chips_in_line)
        return lines * (CHIP_TITLE + self.chip[0]) + 0.1

    def corner(self, chip: int) -> tuple[float, float]:
        """(x, y) of a chip's first site."""
        line, place = divmod(chip, self.chips_in_line)
        x = CHIP_GAP / 2 + place * (self.chip[1] + CHIP_GAP)
        return x, CHIP_TITLE + line * (CHIP_TITLE + self.chip[0])

    def middle(self, site: Site) -> tuple[float, float]:
        x, y = self.corner(site.chip)
        return x + (site.column + 0.5) * self.cell, y + (site.row + 0.5) * self.cell

    def port(self, site: Site) -> tuple[float, float]:
        """(x, y) of a hub's dot: in the upper part of a square that carries a number."""
        x, y = self.middle(site)
        return x, y - (0.3 * self.cell if self.cell >= CELL_WITH_NUMBER else 0.0)


def placement_figure(mapping: Mapping, placement: Placement, mesh: tuple[int, int]) -> Markup:
    """Crossbars in the colour and with the number of what they mostly hold; dots where layers' states live."""
    sheet = Sheet(mesh, 1 + max(site.chip for site in placement.sites))
    held = mostly_held(mapping)
    couplings = [name for name in mapping.chains if name in set(held)]
    colours = dict(zip(couplings, shades(len(couplings)), strict=True))
    columns = min(len(couplings), int(WIDTH / LEGEND_ENTRY))
    lines = math.ceil(len(couplings) / columns)
    height = sheet.height + 0.1 + LEGEND_LINE * lines

    def paint(figure: Figure) -> None:
        figure.set_layout_engine("none")
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0, WIDTH)
        axes.set_ylim(height, 0)
        for chip in range(sheet.chips):
            draw_chip(axes, sheet, chip)
        for number, (name, colour) in enumerate(colours.items(), start=1):
            sites = [site for site, what in zip(placement.sites, held, strict=True) if what == name]
            draw_crossbars(axes, sheet, sites, colour, str(number))
        draw_hubs(axes, sheet, placement.hubs)
        handles = [
            Patch(facecolor=colour, label=f"{number} {short(name)}")
            for number, (name, colour) in enumerate(colours.items(), start=1)
        ]
        figure.legend(
            handles=handles, loc="lower left", ncols=columns, frameon=False, fontsize=8, handlelength=1.0,
            borderaxespad=0.2, columnspacing=1.4,
        )  # fmt: skip

    return render("placement", WIDTH, height, paint)


def shades(count: int) -> list[str]:
    """Colours from dark to light in network order: neighbours look alike, and so does a good placement."""
    scale = mpl.colormaps["viridis"]
    return [to_hex(scale(0.12 + 0.83 * number / max(count - 1, 1))) for number in range(count)]


def draw_chip(axes: Axes, sheet: Sheet, chip: int) -> None:
    (x, y), (height, width) = sheet.corner(chip), sheet.chip
    axes.add_patch(Rectangle((x, y), width, height, facecolor="none", edgecolor=MUTED, linewidth=1.0, zorder=4))
    if sheet.cell >= CELL_WITH_NUMBER:
        lines = [(x + column * sheet.cell, y, 0.0, height) for column in range(1, sheet.mesh[1])]
        lines += [(x, y + row * sheet.cell, width, 0.0) for row in range(1, sheet.mesh[0])]
        for left, top, across, down in lines:
            axes.plot([left, left + across], [top, top + down], color=GRID, linewidth=0.6, zorder=1)
    axes.text(x, y - 0.07, f"chip {chip + 1}", ha="left", va="bottom", fontsize=8)


def draw_crossbars(axes: Axes, sheet: Sheet, sites: Sequence[Site], colour: str, number: str) -> None:
    """All crossbars of one colour as one shape; a gap between them where they are large enough for it."""
    gap = 0.02 if sheet.cell >= CELL_WITH_NUMBER else 0.0
    corners, codes = [], []
    for site, length in runs(sites, joined=gap == 0.0):
        x, y = sheet.middle(site)
        left, top = x - sheet.cell / 2 + gap, y - sheet.cell / 2 + gap
        right, bottom = left + length * sheet.cell - 2 * gap, top + sheet.cell - 2 * gap
        corners += [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
        codes += [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY]
    axes.add_patch(PathPatch(Path(corners, codes), facecolor=colour, edgecolor="none", zorder=2))
    if sheet.cell >= CELL_WITH_NUMBER:
        red, green, blue = mpl.colors.to_rgb(colour)
        ink = "#111111" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#f5f5f5"
        for site in sites:
            x, y = sheet.middle(site)
            axes.text(x, y, number, ha="center", va="center", fontsize=7, color=ink, zorder=3)


def runs(sites: Sequence[Site], joined: bool) -> Iterator[tuple[Site, int]]:
    """Sites, or with ``joined`` neighbours along a row as one: the first of them and how many."""
    left = {(site.chip, site.row, site.column) for site in sites}
    for chip, row, column in sorted(left):
        if joined and (chip, row, column - 1) in left:
            continue
        length = 1
        while joined and (chip, row, column + length) in left:
            length += 1
        yield Site(chip, row, column), length


@dataclass(frozen=True)
class Box:
    """A rectangle around a middle, in inches."""

    x: float
    y: float
    width: float
    height: float

    def meets(self, other: Box) -> bool:
        return (
            abs(self.x - other.x) < (self.width + other.width) / 2
            and abs(self.y - other.y) < (self.height + other.height) / 2
        )


def draw_hubs(axes: Axes, sheet: Sheet, hubs: dict[str, Site]) -> None:
    """A dot at each hub, and beside it the layers that live there."""
    names: dict[Site, list[str]] = {}
    for layer, site in hubs.items():
        names.setdefault(site, []).append(short(layer, LONGEST_HUB))
    labels = {site: short(", ".join(layers), LONGEST_HUB) for site, layers in names.items()}
    placed = label_boxes(sheet, labels)
    for site, box in placed.items():
        x, y = sheet.port(site)
        axes.plot([x, box.x], [y, box.y], color=INK, linewidth=0.7, zorder=5)
        axes.plot([x], [y], "o", color=INK, markersize=4.5, markeredgecolor=PAPER, markeredgewidth=0.8, zorder=6)
        axes.text(
            box.x, box.y, labels[site], ha="center", va="center", fontsize=7.5, zorder=7,
            bbox={"facecolor": PAPER, "edgecolor": MUTED, "linewidth": 0.5, "boxstyle": "round,pad=0.2"},
        )  # fmt: skip


def label_boxes(sheet: Sheet, labels: dict[Site, str]) -> dict[Site, Box]:
    """A place for each label within the sheet: the nearest to its hub that meets no hub, no title, no other label."""
    taken = [Box(*sheet.port(site), 0.1, 0.1) for site in labels]
    for chip in range(sheet.chips):
        x, y = sheet.corner(chip)
        taken.append(Box(x + 0.25, y - 0.14, 0.5, 0.16))
    found: dict[Site, Box] = {}
    for site, text in sorted(labels.items(), key=lambda entry: (entry[0].chip, entry[0].row, entry[0].column)):
        width, (x, y) = CHARACTER * len(text) + 0.1, sheet.port(site)
        tried = [Box(x + dx, y + dy, width, LABEL_HEIGHT + 0.06) for dx, dy in offsets(width)]
        inside = [
            box
            for box in tried
            if width / 2 <= box.x <= WIDTH - width / 2 and LABEL_HEIGHT / 2 <= box.y <= sheet.height
        ]
        free = (box for box in inside if not any(box.meets(other) for other in (*taken, *found.values())))
        found[site] = next(free, tried[0])
    return found


def offsets(width: float) -> Iterator[tuple[float, float]]:
    """From near to far: above, below, right, left, and between."""
    for ring in range(1, 25):
        down, across = 0.17 * ring, 0.1 * ring + width / 2
        for dx, dy in ((0, -1), (0, 1), (1, 0), (-1, 0), (1, -1), (-1, -1), (1, 1), (-1, 1)):
            yield dx * across, dy * down


def placement_words(placement: Placement, mesh: tuple[int, int]) -> str:
    """``93 crossbars on 2 chips of 8 × 8 sites``."""
    chips = 1 + max(site.chip for site in placement.sites)
    crossbars, sites = plural(len(placement.sites), "crossbar"), f"{mesh[0]} × {mesh[1]} sites"
    return f"{crossbars} on {plural(chips, 'chip')} of {sites}"
