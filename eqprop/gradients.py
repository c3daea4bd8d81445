"""Accumulating gradients the way torch optimizers expect them."""

from torch import Tensor, nn


def add_gradient(parameter: nn.Parameter, gradient: Tensor, scale: float) -> None:
    """parameter.grad += scale * gradient, as autograd would accumulate it."""
    if parameter.grad is None:
        parameter.grad = gradient.mul(scale)
    else:
        parameter.grad.add_(gradient, alpha=scale)
