"""Every node of a crossbar with resistive wires, by Kirchhoff's laws: slow, and with the ends where a drawing has them.

Nothing is eliminated by hand: a node for each crosspoint of each row and column, a resistor for each segment and each
device, and one sparse solve. Ideal wires merge nodes.
"""

from typing import Literal

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg


def potentials(
    conductance: np.ndarray,
    row_volt: np.ndarray,
    column_volt: np.ndarray,
    *,
    row_ohm: float,
    column_ohm: float,
    row_terminal_ohm: float = 0.0,
    column_terminal_ohm: float = 0.0,
    row_end: Literal["left", "right"] = "left",
    column_end: Literal["bottom", "top"] = "bottom",
    precise: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Volts of the rows' and of the columns' crosspoints, [rows, columns, cases] each.

    Args:
        conductance: [rows, columns] siemens.
        row_volt, column_volt: [rows, cases] and [columns, cases], what the terminals are held at.
        precise: solve in numpy's longdouble, densely.
    """
    rows, columns = conductance.shape
    row_node = np.arange(rows * columns).reshape(rows, columns)
    column_node = row_node + rows * columns
    row_terminal = 2 * rows * columns + np.arange(rows)
    column_terminal = row_terminal[-1] + 1 + np.arange(columns)
    count = column_terminal[-1] + 1

    resistors: list[tuple[int, int, float]] = []
    for i in range(rows):
        resistors += [(row_node[i, j], row_node[i, j + 1], row_ohm) for j in range(columns - 1)]
        entry = row_node[i, 0] if row_end == "left" else row_node[i, -1]
        resistors.append((row_terminal[i], entry, row_ohm + row_terminal_ohm))
    for j in range(columns):
        resistors += [(column_node[i, j], column_node[i + 1, j], column_ohm) for i in range(rows - 1)]
        entry = column_node[-1, j] if column_end == "bottom" else column_node[0, j]
        resistors.append((column_terminal[j], entry, column_ohm + column_terminal_ohm))

    node = merged(count, [(one, other) for one, other, ohm in resistors if ohm == 0.0])
    number = np.longdouble if precise else np.float64
    branches = [(node[one], node[other], number(1.0) / number(ohm)) for one, other, ohm in resistors if ohm > 0.0]
    branches += [
        (node[row_node[i, j]], node[column_node[i, j]], number(conductance[i, j]))
        for i in range(rows)
        for j in range(columns)
        if conductance[i, j] > 0.0
    ]
    volts = np.zeros((node.max() + 1, row_volt.shape[1]), dtype=number)
    held = node[np.concatenate([row_terminal, column_terminal])]
    volts[held] = np.concatenate([row_volt, column_volt])
    free = np.setdiff1d(np.arange(len(volts)), held)
    if len(free):
        volts[free] = solved(branches, volts, free, held, precise)
    return volts[node[row_node]], volts[node[column_node]]


def merged(count: int, joined: list[tuple[int, int]]) -> np.ndarray:
    """The number of each node's group: [count]."""
    one, other = np.array(joined, dtype=int).reshape(-1, 2).T
    graph = scipy.sparse.coo_array((np.ones(len(one)), (one, other)), shape=(count, count))
    groups: np.ndarray = scipy.sparse.csgraph.connected_components(graph, directed=False)[1]
    return groups


def solved(
    branches: list[tuple[int, int, np.floating]], volts: np.ndarray, free: np.ndarray, held: np.ndarray, precise: bool
) -> np.ndarray:
    """Volts of the free nodes: the currents out of each of them sum to zero."""
    ends = np.array([(one, other) for one, other, _ in branches])
    value = np.array([siemens for _, _, siemens in branches])
    from_node = np.concatenate([ends[:, 0], ends[:, 1], ends[:, 0], ends[:, 1]])
    to_node = np.concatenate([ends[:, 0], ends[:, 1], ends[:, 1], ends[:, 0]])
    entries = np.concatenate([value, value, -value, -value])
    if precise:
        dense = np.zeros((len(volts), len(volts)), dtype=entries.dtype)
        np.add.at(dense, (from_node, to_node), entries)
        return gaussian_elimination(dense[np.ix_(free, free)], -dense[np.ix_(free, held)] @ volts[held])
    laplacian = scipy.sparse.csc_array((entries, (from_node, to_node)), shape=(len(volts),) * 2)
    currents = -(laplacian[:, held] @ volts[held])[free]
    solution: np.ndarray = scipy.sparse.linalg.splu(laplacian[:, free][free]).solve(currents)
    return solution


def gaussian_elimination(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """In whatever precision the arguments have (LAPACK stops at float64); diagonally dominant, so without pivots."""
    matrix, right = matrix.copy(), right.copy()
    for k in range(len(matrix)):
        factor = matrix[k + 1 :, k] / matrix[k, k]
        matrix[k + 1 :, k:] -= np.outer(factor, matrix[k, k:])
        right[k + 1 :] -= np.outer(factor, right[k])
    for k in reversed(range(len(matrix))):
        right[k] = (right[k] - matrix[k, k + 1 :] @ right[k + 1 :]) / matrix[k, k]
    return right


def read(
    conductance: np.ndarray,
    *,
    row_resistance_ohm: float,
    column_resistance_ohm: float,
    driver_resistance_ohm: float = 0.0,
    sense_resistance_ohm: float = 0.0,
    direction: str = "forward",
    driven_end: str = "near",
    sensed_end: str = "near",
    precise: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Volts across every device (row minus column), [rows, columns, lines] each.

    Returns:
        With each driven line in turn at 1 V, and with each sensed line's terminal in turn at 1 V; else at 0 V.
    """
    rows, columns = conductance.shape
    forward = direction == "forward"
    row_end, column_end = (driven_end, sensed_end) if forward else (sensed_end, driven_end)
    volts = [
        potentials(
            conductance,
            row_volt,
            column_volt,
            row_ohm=row_resistance_ohm,
            column_ohm=column_resistance_ohm,
            row_terminal_ohm=driver_resistance_ohm if forward else sense_resistance_ohm,
            column_terminal_ohm=sense_resistance_ohm if forward else driver_resistance_ohm,
            row_end="left" if row_end == "near" else "right",
            column_end="bottom" if column_end == "near" else "top",
            precise=precise,
        )
        for row_volt, column_volt in (
            (np.eye(rows), np.zeros((columns, rows))),
            (np.zeros((rows, columns)), np.eye(columns)),
        )
    ]
    from_rows, from_columns = (row - column for row, column in volts)
    return (from_rows, from_columns) if forward else (from_columns, from_rows)


def effective_conductance(conductance: np.ndarray, **wires: object) -> np.ndarray:
    """Current into each sensed line's terminal per volt at each driven one: what its devices let through, summed."""
    drops, _ = read(conductance, **wires)  # type: ignore[arg-type]
    currents = conductance[:, :, None] * drops
    if wires.get("direction", "forward") == "forward":
        return np.asarray(currents.sum(0).T, dtype=np.float64)  # [column, driven row] -> [row, column]
    return np.asarray(-currents.sum(1), dtype=np.float64)  # [row, driven column]


def noise_variance(conductance: np.ndarray, variance: np.ndarray, drive: np.ndarray, **wires: object) -> np.ndarray:
    """Variance of each sensed current, [cases, sensed], to first order in the devices' noise, with nothing left out.

    A device's conductance moves the current of terminal b by dI_b/dg = phi psi_b (Tellegen's theorem): phi is the
    voltage across the device under the drive, psi_b that with only terminal b at 1 V.

    Args:
        conductance, variance: [rows, columns] siemens, siemens^2.
        drive: [cases, driven] volts.
    """
    phi, psi = read(conductance, **wires)  # type: ignore[arg-type]
    across = phi @ drive.T  # [rows, columns, cases]
    return np.einsum("ij,ijc,ijb->cb", variance, across**2, psi**2)
