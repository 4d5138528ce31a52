"""The floor: only the matrix products of a step with Taylor-series derivatives.

Measured: for C series coefficients at N interior points, stacked to (C N, 128) activations A with
gradients G, the products A W^T forward and G W and G^T A backward of each of the five 128 x 128
hidden layers and of the last layer, and A W^T and G^T A of the first layer, whose input has a value
coefficient only (its derivatives are constant). Each layer has its own buffers, allocated before
the first step, as training needs them. No activation function, no bias, no equation, no condition
point, no optimizer: a series step that does its matrix products in these shapes cannot be faster.
"""

import torch

from .setting import DEPTH, WIDTH, Step, draw_parameters, draw_points

COEFFICIENTS = {"allen-cahn": 4, "burgers": 4, "helmholtz": 5, "cavity": 10}
"""Size of the smallest downward-closed set of derivatives that covers the equations: for the cavity
all ten up to third order, for the others u, both first derivatives and the needed second ones."""


def make_step(
    problem: str, points: int, seed: int = 0, device: str = "cpu", coefficients: int = 0
) -> Step:
    """The matrix products of one step on so many interior points; its loss is always 0.0.

    Args:
        coefficients: how many a neuron has, if not those of `COEFFICIENTS`.
    """
    rows = (coefficients or COEFFICIENTS[problem]) * points
    inputs = torch.from_numpy(draw_points(problem, points, seed)[0]).to(device)
    first, *hidden, last = [
        torch.from_numpy(w).to(device) for w, _ in draw_parameters(problem, seed)
    ]
    first_gradient, *hidden_gradients, last_gradient = [
        torch.empty_like(w) for w in (first, *hidden, last)
    ]
    generator = torch.Generator(device).manual_seed(seed)
    activations = torch.randn((DEPTH, rows, WIDTH), generator=generator, device=device).unbind()
    outputs = torch.zeros(rows, len(last), device=device)
    upstream = torch.ones(rows, len(last), device=device)
    downstream = list(torch.empty(2, rows, WIDTH, device=device).unbind())

    def forward() -> None:
        torch.mm(inputs, first.T, out=activations[0][:points])
        for weight, before, after in zip(hidden, activations, activations[1:], strict=False):
            torch.mm(before, weight.T, out=after)
        torch.mm(activations[-1], last.T, out=outputs)

    def backward() -> None:
        gradient, spare = downstream
        torch.mm(upstream.T, activations[-1], out=last_gradient)
        torch.mm(upstream, last, out=gradient)
        for weight, weight_gradient, before in zip(
            reversed(hidden), reversed(hidden_gradients), reversed(activations[:-1]), strict=True
        ):
            torch.mm(gradient.T, before, out=weight_gradient)
            torch.mm(gradient, weight, out=spare)
            gradient, spare = spare, gradient
        torch.mm(gradient[:points].T, inputs, out=first_gradient)

    def step() -> float:
        forward()
        backward()
        return 0.0

    return Step(step)
