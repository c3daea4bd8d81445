"""Wires: the conductances that a crossbar shows at its terminals when its lines have resistance (IR drop).

Geometry (as in badcrossbar, and Chen, IEEE Trans. Electron Devices 60(4):1318, 2013, doi:10.1109/TED.2013.2246791):
a row enters at its left end, a column at its bottom end, below the last row. These ends are called near. A line has
a segment between neighbouring crosspoints and one between the end in use and the nearest crosspoint; driver and sense
resistances are in series at that end, and the other end floats. Driven lines without a signal are held at 0 V through
their drivers, sensed lines at 0 V (virtual ground) through the sense resistance.

Ohmic devices and wires make a linear network, so one matrix G_eff says all about it: I_sensed = G_eff^T V_driven. It
is found once, exactly, and every read after that is a plain product. By reciprocity G_eff depends only on which ends
are used and on what resistance is there, not on which of them drives.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from mapping.hardware import Direction, End
from sim.workers import pool_of

# Below this a line's resistance leaves no trace in float64, but its reciprocal would overflow.
NEGLIGIBLE_OHM = 1e-100
# Working memory of one chunk of crossbars, on a GPU and in each thread of a CPU; one crossbar may take more.
CHUNK_BYTES = 256 * 2**20
CACHE_BYTES = 2 * 2**20


@dataclass(frozen=True)
class Lines:
    """Resistances in ohm of an array whose rows end at their first crosspoint and whose columns at their last.

    Attributes:
        row, column: one segment.
        row_terminal, column_terminal: in series at the end in use.
    """

    row: float
    column: float
    row_terminal: float
    column_terminal: float

    def swapped(self) -> Lines:
        """The lines of the transposed array."""
        return Lines(self.column, self.row, self.column_terminal, self.row_terminal)


def effective_conductance(
    conductance: Tensor,
    *,
    row_resistance_ohm: float,
    column_resistance_ohm: float,
    driver_resistance_ohm: float = 0.0,
    sense_resistance_ohm: float = 0.0,
    direction: Direction = "forward",
    driven_end: End = "near",
    sensed_end: End = "near",
    on_tile: Callable[[int], None] | None = None,
) -> Tensor:
    """The matrix that terminals see: exact for ohmic devices and wires.

    Args:
        conductance: [..., rows, columns] siemens, one crossbar for each leading index.
        row_resistance_ohm, column_resistance_ohm: of one segment of a row, of a column. 0 is an ideal wire.
        driver_resistance_ohm, sense_resistance_ohm: in series with every driven, every sensed line.
        direction: "forward" drives rows and senses columns, "transposed" drives columns and senses rows.
        driven_end, sensed_end: the end in use of the driven and of the sensed lines.
        on_tile: called with the number of crossbars just done.

    Returns:
        [..., rows, columns] siemens in the dtype of ``conductance``, computed in float64. Forward: the current into
        column j's sense terminal for 1 V at row i's driver. Transposed: the current into row i's sense terminal for
        1 V at column j's driver; with equal ends and equal terminal resistances it is the same matrix.

    Raises:
        ValueError: for a negative, NaN or infinite resistance or conductance, fewer than two dimensions, no devices
            at all, or an unknown direction or end.
    """
    lines = lines_of(row_resistance_ohm, column_resistance_ohm, driver_resistance_ohm, sense_resistance_ohm, direction)
    check_conductance("conductance", conductance)
    flips = flipped_axes(direction, driven_end, sensed_end)
    rows, columns = conductance.shape[-2:]
    # Work grows with rows * columns^3: the side with fewer lines becomes the columns.
    transposing = rows < columns
    if transposing:
        lines = lines.swapped()

    def solve(tiles: Tensor) -> tuple[Tensor]:
        found = eliminate(mirrored(tiles.double(), flips, transposing), lines)
        return (unmirrored(found, flips, transposing).to(conductance.dtype),)

    # About sixteen numbers of working memory a device: the ladders, and blocks no larger than the tile.
    (result,) = over_tiles(solve, (conductance,), 16 * rows * columns, on_tile)
    return result.view(conductance.shape)


def asymmetry(forward: Tensor, transposed: Tensor) -> float:
    """How far the matrices of the two directions differ: |F - T| / |F| in the Frobenius norm; 0 where both vanish."""
    difference = torch.linalg.vector_norm((forward - transposed).double())
    norm = torch.linalg.vector_norm(forward.double())
    return float(difference / norm) if difference > 0 else 0.0


def lines_of(row: float, column: float, driver: float, sense: float, direction: str) -> Lines:
    """The resistances by line: reading the other way only exchanges what is at the terminals."""
    for name, value in (("row", row), ("column", column), ("driver", driver), ("sense", sense)):
        if not 0.0 <= value < math.inf:
            raise ValueError(f"{name}_resistance_ohm {value}: expected a finite number >= 0")
    if direction not in ("forward", "transposed"):
        raise ValueError(f"direction {direction!r}: expected 'forward' or 'transposed'")
    return Lines(row, column, driver, sense) if direction == "forward" else Lines(row, column, sense, driver)


def check_conductance(name: str, conductance: Tensor) -> None:
    """Refuse what is no array of ohmic devices."""
    if conductance.dim() < 2 or conductance.numel() == 0:
        raise ValueError(f"{name} of shape {list(conductance.shape)}: expected [..., rows, columns], none of them 0")
    wrong = ~((conductance >= 0.0) & (conductance < math.inf))
    if wrong.any():
        raise ValueError(f"{name} {float(conductance[wrong][0])}: expected finite siemens >= 0")


def flipped_axes(direction: str, driven_end: str, sensed_end: str) -> list[int]:
    """The axes to turn round so that the ends in use become the near ones."""
    for name, end in (("driven_end", driven_end), ("sensed_end", sensed_end)):
        if end not in ("near", "far"):
            raise ValueError(f"{name} {end!r}: expected 'near' or 'far'")
    along_rows, along_columns = (driven_end, sensed_end) if direction == "forward" else (sensed_end, driven_end)
    return [axis for axis, end in ((-1, along_rows), (-2, along_columns)) if end == "far"]


def mirrored(tiles: Tensor, flips: list[int], transposing: bool) -> Tensor:
    """The same crossbars, drawn so that rows end at the left and columns at the bottom."""
    tiles = tiles.flip(flips) if flips else tiles
    # Columns that end below the last row become rows that end before the first crosspoint, so both axes turn round.
    return tiles.mT.flip(-1, -2) if transposing else tiles


def unmirrored(tiles: Tensor, flips: list[int], transposing: bool) -> Tensor:
    """The inverse of :func:`mirrored`."""
    tiles = tiles.flip(-1, -2).mT if transposing else tiles
    return tiles.flip(flips) if flips else tiles


def over_tiles(
    solve: Callable[..., tuple[Tensor, ...]],
    operands: tuple[Tensor, ...],
    numbers_each: int,
    on_tile: Callable[[int], None] | None = None,
) -> list[Tensor]:
    """``solve`` for chunks of crossbars, spread over as many threads as torch may use.

    Args:
        solve: operands of some crossbars, [tiles, rows, columns] each, to results [tiles, ...].
        operands: [..., rows, columns] each.
        numbers_each: float64 numbers of working memory that a crossbar takes.
        on_tile: called with the number of crossbars just done.

    Returns:
        The results of all crossbars, [all tiles, ...] each. Chunks and the arithmetic in them do not depend on the
        number of threads, so neither do they.
    """
    flat = [operand.reshape(-1, *operand.shape[-2:]) for operand in operands]
    count = len(flat[0])
    on_gpu = flat[0].is_cuda
    # A GPU takes as many at once as memory allows; a CPU thread so few that their blocks stay in its cache.
    chunk = max(1, (CHUNK_BYTES if on_gpu else CACHE_BYTES) // (8 * numbers_each))

    def work(start: int) -> tuple[Tensor, ...]:
        return solve(*(operand[start : start + chunk] for operand in flat))

    starts = range(0, count, chunk)
    found: list[tuple[Tensor, ...]] = []

    def collect(results: Iterable[tuple[Tensor, ...]]) -> None:
        for result in results:
            found.append(result)
            if on_tile is not None:
                on_tile(len(result[0]))

    if on_gpu:
        collect(map(work, starts))
    else:
        # LAPACK lets go of Python's lock, so tiles run side by side. Inside a tile one thread, also for one alone:
        # small blocks would gain nothing from more, and the order of its sums must not depend on how many there are.
        collect(pool_of(torch.get_num_threads()).map(work, starts))
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


@dataclass(frozen=True)
class Ladders:
    """What each row alone does between its terminal and its columns, all of them held at 0 V; [..., rows, columns].

    A row is a ladder: segments in series, devices to ground. Its nodes' resistances Z_jk (volts at j for an ampere
    into k) are sqrt(Z_jj Z_kk) exp(-|h_j - h_k|), from the admittances seen to the left and to the right of a node.
    Everything is a sum, product or quotient of positive numbers, so nothing cancels at any resistance.

    Attributes:
        decay: h.
        drop: the share of a voltage across device j and the row that falls across the device, 1 - g_j Z_jj.
        coupling: g_j sqrt(Z_jj).
        root: sqrt(Z_jj).
        transfer: volts at crosspoint j for 1 V at the row's terminal.
    """

    decay: Tensor
    drop: Tensor
    coupling: Tensor
    root: Tensor
    transfer: Tensor

    def spread(self, row: int) -> Tensor:
        """exp(-|h_j - h_k|) of one row: [..., columns, columns]."""
        decay = self.decay[..., row, :]
        return (decay[..., :, None] - decay[..., None, :]).abs_().neg_().exp_()


def ladders(conductance: Tensor, segment_ohm: float, terminal_ohm: float) -> Ladders:
    """The rows [..., rows, columns] as ladders that end before their first crosspoint."""
    if segment_ohm + terminal_ohm < NEGLIGIBLE_OHM:
        zero, one = torch.zeros_like(conductance), torch.ones_like(conductance)
        return Ladders(zero, one, zero, zero, one)
    devices = conductance.unbind(-1)
    # Seen from a node: a is what the part of the row towards the terminal conducts, b what the part beyond it does.
    a = [torch.full_like(devices[0], 1.0 / (segment_ohm + terminal_ohm))]
    b = [torch.zeros_like(devices[0])]
    for device in devices[:-1]:
        a.append(1.0 / (segment_ohm + 1.0 / (a[-1] + device)))
    for device in devices[:0:-1]:
        b.append(1.0 / (segment_ohm + 1.0 / (b[-1] + device)))
    towards, beyond = torch.stack(a, -1), torch.stack(b[::-1], -1)
    # Passing a segment divides a voltage by 1 + segment * what lies behind it. Logarithms, since products underflow.
    loss_left = torch.log1p(segment_ohm * (towards + conductance))
    loss_right = torch.log1p(segment_ohm * (beyond + conductance))
    left = loss_left.cumsum(-1) - loss_left
    right = loss_right.flip(-1).cumsum(-1).flip(-1) - loss_right
    resistance = 1.0 / (towards + beyond + conductance)
    entry = 1.0 / (1.0 + (segment_ohm + terminal_ohm) * (conductance + beyond)[..., :1])
    return Ladders(
        decay=(left - right) / 2,
        drop=(towards + beyond) * resistance,
        coupling=conductance * resistance.sqrt(),
        root=resistance.sqrt(),
        transfer=entry * (right - right[..., :1]).exp(),
    )


def admittance(ladder: Ladders, conductance: Tensor, row: int) -> Tensor:
    """K = D - D Z D of one row, [..., columns, columns]: columns' volts -> amperes from the columns into the row."""
    coupling = ladder.coupling[..., row, :]
    found = ladder.spread(row).mul_(coupling[..., :, None]).mul_(coupling.neg()[..., None, :])
    found.diagonal(dim1=-2, dim2=-1).copy_(conductance[..., row, :] * ladder.drop[..., row, :])
    return found


def eliminate(conductance: Tensor, lines: Lines) -> Tensor:
    """G_eff [..., rows, columns] of float64 crossbars whose rows end at the left and whose columns at the bottom.

    Row by row downwards, everything above the columns' next segment is one admittance P and one Norton current J
    for each driven row. A row adds its K and its c = g * transfer; a segment of r ohm in every column makes them

        P' = (I + r P)^-1 P,    J' = (I + r P)^-1 J

    which holds at r = 0 too and subtracts nothing.
    """
    rows, columns = conductance.shape[-2:]
    ladder = ladders(conductance, lines.row, lines.row_terminal)
    norton = (conductance * ladder.transfer).unsqueeze(-1)
    passed = conductance.new_empty(*conductance.shape[:-2], columns, 0)  # [P', J'], once there is a row above
    for row in range(rows):
        above = admittance(ladder, conductance, row)
        if row:
            above += passed[..., :columns]
        currents = [passed[..., columns:], norton[..., row, :, :]]
        last = row == rows - 1
        segment = above * (lines.column + (lines.column_terminal if last else 0.0))
        segment.diagonal(dim1=-2, dim2=-1).add_(1.0)
        # One LU for all right-hand sides: faster here than Cholesky, whose triangular solves work on strided memory,
        # and than products with an explicit inverse. I + r P is a diagonally dominant M-matrix, so it exists.
        passed = torch.linalg.solve_ex(segment, torch.cat(currents if last else [above, *currents], -1))[0]
    return passed.mT.clamp(min=0.0)  # every entry is >= 0; rounding may leave the smallest just below
