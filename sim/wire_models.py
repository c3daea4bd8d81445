"""What follows from a crossbar's wires without solving them anew: a closed form, a bound, and read noise.

The exact conductances at the terminals, and the geometry, are in :mod:`sim.wires`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mapping.hardware import Direction, End
from sim.wires import (
    Lines,
    admittance,
    check_conductance,
    flipped_axes,
    ladders,
    lines_of,
    mirrored,
    over_tiles,
    unmirrored,
)


def closed_form(conductance: Tensor, *, row_resistance_ohm: float, column_resistance_ohm: float) -> Tensor:
    """An estimate in O(rows * columns), differentiable: each line alone, loaded by its mean devices.

    On a line of n devices with mean conductances gbar, numbered from the end in use, let every device draw gbar_k
    from a line at about 1 V. Then the far end lags the driver by r sum_k (k + 1) gbar_k, crosspoint j lags it by
    what is summed up to there, and the share of the terminal's voltage that reaches crosspoint j is

        a_j = (1 + r sum_(k > j) (k - j) gbar_k) / (1 + r sum_k (k + 1) gbar_k)

    The current of a device on its way to a column's terminal is divided in the same ratio, by reciprocity, so
    G_eff = diag(a_rows) G diag(a_columns). This is the rank-1 scaling called DMR in the repository
    Crossbar_Models_Comparison, for our ends: both near, no driver or sense resistance. For equal devices it is exact to
    first order in r; else it misses how the devices of one line differ from the mean.

    Args:
        conductance: [..., rows, columns] siemens.
        row_resistance_ohm, column_resistance_ohm: of one segment.

    Returns:
        [..., rows, columns] siemens.

    Raises:
        ValueError: for a negative, NaN or infinite resistance or conductance, or fewer than two dimensions.
    """
    lines = lines_of(row_resistance_ohm, column_resistance_ohm, 0.0, 0.0, "forward")
    check_conductance("conductance", conductance)
    along_row = line_share(conductance.mean(-2), lines.row)
    along_column = line_share(conductance.mean(-1).flip(-1), lines.column).flip(-1)
    return along_column[..., :, None] * conductance * along_row[..., None, :]


def line_share(load: Tensor, segment_ohm: float) -> Tensor:
    """a_j of a line whose crosspoints draw ``load`` [..., n], counted from the end in use."""
    beyond = load.flip(-1).cumsum(-1).flip(-1)  # sum_(k >= j) gbar_k, the current in the segment before j
    lag = segment_ohm * beyond.flip(-1).cumsum(-1).flip(-1)  # r sum_(k >= j) (k - j + 1) gbar_k
    after = torch.cat([lag[..., 1:], torch.zeros_like(lag[..., :1])], -1)
    return (1.0 + after) / (1.0 + lag[..., :1])


def change_bound(old: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    """How far G_eff can have moved when devices moved from ``old`` to ``new``, whatever the wires and the ends.

    With eps = max |new_ij / old_ij - 1| the terminals' admittance matrix Y, which grows with every conductance in
    the Loewner order, stays between (1 - eps) Y and (1 + eps) Y: scaling the wires along with the devices only
    widens that. So |x^T (Y' - Y) y| <= eps sqrt(x^T Y x y^T Y y). A line's own admittance is at most what ideal wires
    would give it, the sum of its devices, so

        |dG_eff_ab| <= eps sqrt(sum_j g_aj sum_i g_ib)
        |x^T dG_eff y| <= eps sqrt(sum_ij x_i^2 g_ij sum_ij y_j^2 g_ij)

    The second is tight for whole reads (x = y = 1 is reached), the first, its case of one row and one column, far
    from it in large arrays: a single entry of a 128 x 128 array moves some hundred times less.

    Args:
        old, new: [..., rows, columns] siemens.

    Returns:
        The bound, [..., rows, columns] siemens, and eps, [...]; both are infinite where an open device closed.

    Raises:
        ValueError: for negative, NaN or infinite conductances, fewer than two dimensions or unequal shapes.
    """
    check_conductance("old", old)
    check_conductance("new", new)
    if old.shape != new.shape:
        raise ValueError(f"new of shape {list(new.shape)}: expected that of old, {list(old.shape)}")
    before, after = old.double(), new.double()
    # Two open devices are no change, not 0 / 0.
    eps = torch.where(before == after, 0.0, (after - before).abs() / before).amax((-2, -1))
    lines = before.sum(-1, keepdim=True).sqrt() * before.sum(-2, keepdim=True).sqrt()
    # A line of open devices only: infinity times 0 is infinity here, since one of them may have closed.
    bound = eps[..., None, None] * lines.clamp(min=torch.finfo(lines.dtype).tiny)
    return bound.to(old.dtype), eps.to(old.dtype)


@dataclass(frozen=True)
class NoiseOperands:
    """The variance of a sensed line's current as products with matrices, for devices behind wires.

    A device of variance s_ij moves the current of sensed line b by phi_ij psi_ij, the voltages across it under the
    drive and with only terminal b at 1 V. Devices of other sensed lines see next to nothing of the second (they
    count here as none), and the first is what the driven line's own signal leaves, less what the sensed line's
    wire is lifted by: alpha_ib v_i - sum_q B_q(i) k_qb(v), with B_q the Legendre polynomials of degree q along the
    sensed line and k_q(v) linear in the drive. So, forward,

        Var_b = sum_i S_ib v_i^2 - 2 sum_q k_qb sum_i C_qib v_i + sum_qp k_qb k_pb D_qpb,  k_qb = sum_i T_qib v_i

    Attributes:
        squared: S = s psi^2 alpha^2, [..., rows, columns] siemens^2.
        linear: T, [..., terms, rows, columns], volts for each volt.
        cross: C = s psi^2 alpha B_q, [..., terms, rows, columns] siemens^2.
        gram: D = sum s psi^2 B_q B_p over the sensed line, [..., terms, terms, sensed lines] siemens^2.

    Transposed reads have the columns as i and the rows as b; shapes keep rows before columns.
    """

    squared: Tensor
    linear: Tensor
    cross: Tensor
    gram: Tensor

    def variance(self, drive: Tensor, direction: Direction = "forward") -> Tensor:
        """Var of every sensed line: [..., cases, driven] volts -> [..., cases, sensed] amperes^2."""
        over = "...ci,...ib->...cb" if direction == "forward" else "...ci,...bi->...cb"
        each = "...ci,...qib->...qcb" if direction == "forward" else "...ci,...qbi->...qcb"
        lift, cross = torch.einsum(each, drive, self.linear), torch.einsum(each, drive, self.cross)
        own = torch.einsum(over, drive.square(), self.squared)
        return own - 2 * (lift * cross).sum(-3) + torch.einsum("...qcb,...pcb,...qpb->...cb", lift, lift, self.gram)


def noise_operands(
    conductance: Tensor,
    variance: Tensor,
    *,
    row_resistance_ohm: float,
    column_resistance_ohm: float,
    driver_resistance_ohm: float = 0.0,
    sense_resistance_ohm: float = 0.0,
    direction: Direction = "forward",
    driven_end: End = "near",
    sensed_end: End = "near",
    terms: int = 3,
    on_tile: Callable[[int], None] | None = None,
) -> NoiseOperands:
    """Read noise through the wires, see :class:`NoiseOperands`.

    Args:
        conductance: [..., rows, columns] siemens.
        variance: of each device's conductance in a read, same shape, siemens^2.
        row_resistance_ohm, column_resistance_ohm, driver_resistance_ohm, sense_resistance_ohm, direction, driven_end,
            sensed_end, on_tile: as for :func:`sim.wires.effective_conductance`.
        terms: Legendre polynomials; 0 leaves out how driven lines disturb each other through the sensed one.

    Returns:
        The operands, in the dtype of ``conductance``.

    Raises:
        ValueError: as ``effective_conductance``; for a variance of another shape, negative, NaN or infinite; for
            fewer than 0 terms.
    """
    lines = lines_of(row_resistance_ohm, column_resistance_ohm, driver_resistance_ohm, sense_resistance_ohm, direction)
    check_conductance("conductance", conductance)
    check_conductance("variance", variance)
    if variance.shape != conductance.shape:
        raise ValueError(f"variance of shape {list(variance.shape)}: expected that of conductance")
    if terms < 0:
        raise ValueError(f"terms {terms}: expected >= 0")
    flips = flipped_axes(direction, driven_end, sensed_end)
    transposing = direction == "transposed"  # sensed lines become the columns
    if transposing:
        lines = lines.swapped()

    def solve(tiles: Tensor, variances: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        tiles, variances = (mirrored(part.double(), flips, transposing) for part in (tiles, variances))
        squared, linear, cross, gram = drops(tiles, variances, lines, terms)
        matrices = [unmirrored(part, flips, transposing).to(conductance.dtype) for part in (squared, linear, cross)]
        # A sensed line's number turns round with the axis it stands for.
        turned = transposing != ((-2 if transposing else -1) in flips)
        gram = gram.flip(-1) if turned else gram
        return matrices[0], matrices[1], matrices[2], gram.to(conductance.dtype)

    rows, columns = conductance.shape[-2:]
    numbers = rows * columns * (rows + columns)  # P' and J' of all rows, kept for the way back up
    found = over_tiles(solve, (conductance, variance), numbers, on_tile)
    lead = conductance.shape[:-2]
    return NoiseOperands(*(part.reshape(*lead, *part.shape[1:]) for part in found))


def drops(conductance: Tensor, variance: Tensor, lines: Lines, terms: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """S, T, C and D of float64 crossbars whose driven rows end at the left and whose columns at the bottom.

    Down the columns as in ``eliminate``, keeping P' and J' of every row; then up again for the volts of the columns'
    crosspoints, V_i = V_(i+1) + r (J'_i - P'_i V_(i+1)), for every driven row and for every sensed terminal at once.
    """
    lead, (rows, columns) = conductance.shape[:-2], conductance.shape[-2:]
    ladder = ladders(conductance, lines.row, lines.row_terminal)
    norton = (conductance * ladder.transfer).unsqueeze(-1)
    segments = [lines.column] * (rows - 1) + [lines.column + lines.column_terminal]
    passed: list[Tensor] = []  # [P', J'] below each row
    for row, ohm in enumerate(segments):
        above = admittance(ladder, conductance, row)
        currents = [norton[..., row, :, :]]
        if row:
            above += passed[-1][..., :columns]
            currents.insert(0, passed[-1][..., columns:])
        segment = above * ohm
        segment.diagonal(dim1=-2, dim2=-1).add_(1.0)
        passed.append(torch.linalg.solve_ex(segment, torch.cat([above, *currents], -1))[0])

    basis = legendre(rows, terms).to(conductance)
    weight = torch.empty_like(conductance)
    moment = conductance.new_zeros(*lead, terms, columns, rows)
    # Volts at the columns' nodes under the current row: with each row driven, then with each terminal at 1 V.
    terminal = torch.eye(columns, dtype=conductance.dtype, device=conductance.device)
    volt = torch.cat([terminal.new_zeros(columns, rows), terminal], -1).expand(*lead, -1, -1)
    for row in reversed(range(rows)):
        change = passed[row][..., :columns] @ volt
        change.neg_()[..., : row + 1] += passed[row][..., columns:]
        volt = volt + segments[row] * change
        # The part of the columns' volts that falls across this row's devices: I - Z D, the row following the rest.
        across = ladder.spread(row).mul_(-ladder.root[..., row, :, None]).mul_(ladder.coupling[..., row, None, :])
        across.diagonal(dim1=-2, dim2=-1).copy_(ladder.drop[..., row, :])
        own = (across * volt[..., rows:].mT).sum(-1)
        weight[..., row, :] = variance[..., row, :] * own.square()
        lifted = weight[..., row, :, None] * (across @ volt[..., :rows])
        moment += basis[:, row, None, None] * lifted.unsqueeze(-3)

    weighted = basis[:, :, None] * weight.unsqueeze(-3)  # s psi^2 B_q
    gram = torch.einsum("...qib,pi->...qpb", weighted, basis)
    cross = weighted * ladder.transfer.unsqueeze(-3)
    return weight * ladder.transfer.square(), fitted(gram, moment), cross, gram


def legendre(positions: int, terms: int) -> Tensor:
    """P_0 ... P_(terms-1) at the middles of ``positions`` equal parts of [-1, 1]: [terms, positions]."""
    x = (2.0 * torch.arange(positions, dtype=torch.float64) + 1.0) / positions - 1.0
    basis = [torch.ones_like(x), x]
    for degree in range(1, terms - 1):
        basis.append(((2 * degree + 1) * x * basis[degree] - degree * basis[degree - 1]) / (degree + 1))
    return torch.stack(basis)[:terms]


def fitted(gram: Tensor, moment: Tensor) -> Tensor:
    """T: the polynomials nearest to the lift in the noise's own weights, [..., terms, driven, sensed].

    A line without noise, or shorter than the number of terms, leaves some of them undetermined: those stay 0.
    """
    normal = gram.movedim(-1, -3)  # [..., sensed, terms, terms]
    scale = normal.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    scale = torch.where(scale > 0.0, scale, 1.0)
    inverse = torch.linalg.pinv(normal / scale, hermitian=True, rtol=1e-12)
    return torch.einsum("...bqp,...pba->...qab", inverse, moment / scale.movedim(-3, -2))
