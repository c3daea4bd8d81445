"""An energy network: layers joined by couplings, on any graph.

E(s) = sum_n 1/2 k_n |s_n|^2 - Phi(s),   Phi(s) = sum_n b_n . s_n + sum_(m->n) <s_n, P(A_mn s_m)>

Papers on EP call E the energy and Phi the primitive function; states descend E, and learning differentiates
Phi, since dE/dtheta = -dPhi/dtheta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from eqprop.costs import Cost
from eqprop.couplings import Coupling
from eqprop.dynamics import Equilibrium, FixedPoint, States
from eqprop.edge import Edge
from eqprop.gradients import add_gradient
from eqprop.graph_check import check_graph
from eqprop.layer import Layer


class EnergyNetwork(nn.Module):
    """Layers, edges with their couplings, one bias a channel, and a cost.

    Args:
        layers: by name, in order from input to output (names are identifiers: they become parameter names).
        inputs: names of the clamped layers.
        edges: where each coupling sits. Two layers may be joined by several edges; none joins a layer to itself.
        couplings: by edge name; a cross-entropy cost's readout is here too, without an edge.
        cost: what nudged phases minimise.
        dynamics: how free and nudged phases relax unless a call says otherwise.

    Raises:
        ValueError: for a graph that does not hold together (unknown layer, shapes that do not meet, ...).
    """

    def __init__(
        self,
        layers: Mapping[str, Layer],
        inputs: Sequence[str],
        edges: Sequence[Edge],
        couplings: Mapping[str, Coupling],
        cost: Cost,
        dynamics: FixedPoint | None = None,
    ) -> None:
        super().__init__()
        self.layers = dict(layers)
        self.inputs = tuple(inputs)
        self.free = tuple(name for name in self.layers if name not in self.inputs)
        self.edges = tuple(edges)
        self.couplings = nn.ModuleDict(couplings)
        self.cost = cost
        self.dynamics = dynamics or FixedPoint()
        check_graph(self.layers, self.inputs, self.edges, couplings, cost)
        self.biases = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(self.layers[name].bias_shape)) for name in self.free}
        )
        self.edges_into = {name: [e for e in self.edges if e.post == name] for name in self.layers}
        self.edges_from = {name: [e for e in self.edges if e.pre == name] for name in self.layers}

    @property
    def replicas(self) -> int:
        """Networks answered in one batch: 1 here, the number of chips for a batch of chips."""
        return 1

    @property
    def classes(self) -> int:
        """Number of predictions the cost reads."""
        readout = self.cost.readout
        return self.layers[self.cost.layer].size if readout is None else math.prod(self.coupling(readout).post_shape)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample of the first clamped layer."""
        return self.layers[self.inputs[0]].shape

    def coupling(self, name: str) -> Coupling:
        module = self.couplings[name]
        assert isinstance(module, Coupling)
        return module

    def coupling_table(self) -> dict[str, Coupling]:
        """Couplings by name, as the cost wants them."""
        return {name: self.coupling(name) for name in self.couplings}

    def phi(self, states: Mapping[str, Tensor]) -> Tensor:
        """The primitive function Phi of each sample, [batch]; ``states`` holds every layer, inputs too."""
        total = torch.zeros_like(next(iter(states.values())).flatten(1)[:, 0])
        for name in self.free:
            layer = self.layers[name]
            total = total + (states[name] * layer.spread_bias(self.biases[name])).flatten(1).sum(1)
        for edge in self.edges:
            read = self.coupling(edge.name)(states[edge.pre])
            if edge.pool is not None:
                read = edge.pool.forward(read)
            total = total + (states[edge.post] * read).flatten(1).sum(1)
        return total

    def energy(self, states: Mapping[str, Tensor]) -> Tensor:
        """E of each sample, [batch]: sum_n 1/2 k_n |s_n|^2 over the free layers, minus Phi."""
        stiff = sum(0.5 * self.layers[n].stiffness * states[n].flatten(1).square().sum(1) for n in self.free)
        return stiff - self.phi(states)

    def cost_value(self, states: Mapping[str, Tensor], target: Tensor) -> Tensor:
        """C of each sample, [batch]."""
        return self.cost.value(states, target, self.coupling_table())

    def logits(self, states: Mapping[str, Tensor]) -> Tensor:
        """Predictions at ``states``, [batch, classes]."""
        return self.cost.logits(states, self.coupling_table())

    def clamp(self, x: Tensor | Mapping[str, Tensor]) -> States:
        """Input states from one tensor (one clamped layer) or a tensor for each clamped layer.

        Raises:
            ValueError: if a shape is not the layer's, or a value is not finite.
        """
        given = x if isinstance(x, Mapping) else {self.inputs[0]: x}
        if set(given) != set(self.inputs):
            raise ValueError(f"inputs {sorted(given)}: expected {sorted(self.inputs)}")
        for name, value in given.items():
            if tuple(value.shape[1:]) != self.layers[name].shape:
                raise ValueError(
                    f"input {name} has shape {tuple(value.shape[1:])} a sample: expected {self.layers[name].shape}"
                )
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"input {name} has NaN or infinite values: expected finite numbers")
        return {
            name: value.to(memory_format=torch.channels_last) if value.dim() == 4 else value
            for name, value in given.items()
        }

    def constant_drive(self, clamped: Mapping[str, Tensor]) -> States:
        """By free layer, bias plus the reads of clamped inputs: computed once for all sweeps of a phase."""
        drives: States = {}
        for name in self.free:
            drive = self.bias_drive(name)
            for edge in self.edges_into[name]:
                if edge.pre in clamped:
                    drive = drive + self.forward_read(edge, clamped, {})
            drives[name] = drive
        return drives

    def bias_drive(self, name: str) -> Tensor:
        """The bias of a free layer, to be added to [batch, *shape]."""
        return self.layers[name].spread_bias(self.biases[name].detach())

    def forward_read(self, edge: Edge, states: Mapping[str, Tensor], pooled_reads: States) -> Tensor:
        """P(A s_pre), the share of ``edge`` in its post layer's drive."""
        if edge.pool is None:
            return self.coupling(edge.name)(states[edge.pre])
        return edge.pool.forward(self.read_to_pool(edge, states, pooled_reads))

    def transposed_read(self, edge: Edge, states: Mapping[str, Tensor], pooled_reads: States) -> Tensor:
        """A^T P^-1(s_post), the share of ``edge`` in its pre layer's drive."""
        post = states[edge.post]
        if edge.pool is not None:
            post = edge.pool.transpose(post, self.read_to_pool(edge, states, pooled_reads))
        return self.coupling(edge.name).transpose(post)

    def read_to_pool(self, edge: Edge, states: Mapping[str, Tensor], pooled_reads: States) -> Tensor:
        """A s_pre before pooling: both directions need it, so it is kept until s_pre changes."""
        if edge.name not in pooled_reads:
            pooled_reads[edge.name] = self.coupling(edge.name)(states[edge.pre])
        return pooled_reads[edge.name]

    def update(
        self,
        name: str,
        states: Mapping[str, Tensor],
        constant: Mapping[str, Tensor],
        pooled_reads: States,
        target: Tensor | None,
        beta: float,
    ) -> Tensor:
        """The new state of layer ``name`` with all others fixed: clip(h / k), or nudged if the cost reads it."""
        reads = [self.forward_read(e, states, pooled_reads) for e in self.edges_into[name] if e.pre not in self.inputs]
        reads += [self.transposed_read(e, states, pooled_reads) for e in self.edges_from[name]]
        drive = torch.zeros_like(states[name]).add_(constant[name]) if not reads else reads[0].add_(constant[name])
        for read in reads[1:]:
            drive.add_(read)
        return self.confine_(name, self.minimise_(name, drive, states[name], target, beta))

    def minimise_(self, name: str, drive: Tensor, state: Tensor, target: Tensor | None, beta: float) -> Tensor:
        """Turn the drive of layer ``name`` into what minimises the energy, clipping left out, in place."""
        stiffness = self.layers[name].stiffness
        if name == self.cost.layer and target is not None:
            return self.cost.nudge_(drive, state, target, beta, stiffness, self.coupling_table())
        return drive if stiffness == 1.0 else drive.div_(stiffness)

    def confine_(self, name: str, state: Tensor) -> Tensor:
        """Bring a fresh state of layer ``name`` into its allowed values, in place."""
        return self.layers[name].confine_(state)

    @torch.no_grad()
    def relax(
        self,
        x: Tensor | Mapping[str, Tensor],
        *,
        target: Tensor | None = None,
        beta: float = 0.0,
        start: Mapping[str, Tensor] | None = None,
        dynamics: FixedPoint | None = None,
    ) -> Equilibrium:
        """Relax to the equilibrium of E + beta C with the inputs clamped to ``x``.

        Args:
            x: [batch, *input_shape], or a tensor for each clamped layer.
            target: class numbers, int64 [batch]; needed when beta is not 0.
            start: states to start from (a free equilibrium, for a nudged phase); zeros otherwise.
            dynamics: instead of the network's own.

        Raises:
            ValueError: wrong shapes, or beta without a target.

        Warns:
            ConvergenceWarning: with figures, when the sweeps ran out before the tolerance was met.
        """
        if beta != 0.0 and target is None:
            raise ValueError(f"beta {beta} without a target: expected class numbers to nudge towards")
        clamped = {name: self.spread(value) for name, value in self.clamp(x).items()}
        target = None if target is None else self.spread(target)
        first = clamped[self.inputs[0]]
        states = dict(clamped)
        for name in self.free:
            states[name] = start[name] if start is not None else self.layers[name].zeros(len(first), first)
        constant = self.constant_drive(clamped)
        return (dynamics or self.dynamics).run(self, states, constant, target, beta)

    def predict(self, x: Tensor, dynamics: FixedPoint | None = None) -> tuple[Tensor, Equilibrium]:
        """Class numbers [batch] at the free equilibrium, and that equilibrium."""
        equilibrium = self.relax(x, dynamics=dynamics)
        return self.logits(equilibrium.states).argmax(1), equilibrium

    def spread(self, data: Tensor) -> Tensor:
        """Images or labels as the states see them: here as they are; a batch of chips repeats them for each chip."""
        return data

    @torch.no_grad()
    def accumulate_cost(self, states: Mapping[str, Tensor], target: Tensor, scale: float) -> None:
        """Add scale * dC/dtheta (batch mean) to ``.grad`` of the parameters that belong to the cost alone."""
        self.cost.accumulate(states, self.spread(target), self.coupling_table(), scale)

    @torch.no_grad()
    def accumulate(self, states: Mapping[str, Tensor], scale: float) -> None:
        """Add scale * dPhi/dtheta (batch mean) to ``.grad`` of every weight and bias in the graph."""
        scale = scale / len(next(iter(states.values())))
        for name in self.free:
            per_unit = states[name].sum(0)
            per_channel = per_unit.flatten(1).sum(1) if per_unit.dim() > 1 else per_unit
            add_gradient(self.biases[name], per_channel, scale)
        for edge in self.edges:
            coupling, pre, post = self.coupling(edge.name), states[edge.pre], states[edge.post]
            if edge.pool is not None:
                post = edge.pool.transpose(post, coupling(pre))
            for parameter, gradient in coupling.gradient(pre, post).items():
                add_gradient(coupling.get_parameter(parameter), gradient, scale)
