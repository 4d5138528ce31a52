"""What every network must keep."""

from __future__ import annotations

import string
from copy import deepcopy
from itertools import product
from typing import Any

import torch
from torch import nn

from pinn.core.domain import Box
from pinn.core.parts import Network
from pinn.engine.derivatives import coordinate
from pinn.engine.derivatives.jets import MultiIndex, jets
from pinn.engine.training.objective import Objective
from pinn.testing.companions import SmallProblem, SmallWeighting
from pinn.testing.declaration import DECLARATION
from pinn.testing.probes.devices import META, check_device
from pinn.testing.probes.differences import first_difference
from pinn.testing.probes.examples import points_in
from pinn.testing.probes.nested import derivative
from pinn.testing.probes.tracing import its_training_step_can_be_compiled
from pinn.testing.small_runs import it_trains_and_continues_exactly
from pinn.testing.trial import Trial, perform

CLOSE = 1e-9
BOXES = (Box(x=(-1, 2)), Box(x=(-1, 2), t=(0, 5)), Box(x=(-1, 2), y=(0, 1), t=(0, 5)))
SIZES = (*product(BOXES, (1, 2, 3)),)
"""Domains and numbers of fields."""
FAR = Box(x=(1000, 5000), t=(0, 1e-6))
DRAW = (
    "draw every initial weight from the `generator`, as in "
    "torch.nn.init.xavier_normal_(layer.weight, generator=generator)"
)


def check_network(network: type[Network] | Network) -> None:
    """Everything that the framework expects of a network.

    Shape and precision for one to three coordinates and fields; initial values from the generator alone;
    each row of the output from its own row of the input; derivatives by Taylor series against nested
    autograd; saving and loading; a gradient for every parameter; options; devices, compiling; and runs
    of a few steps, killed and continued.

    Args:
        network: a class, which is checked with its default options, or an instance.

    Raises:
        AssertionError: what was found, and what to do.
    """
    perform("network", network, (*DECLARATION, *CHECKS))


def _built(
    trial: Trial, box: Box = BOXES[1], outputs: int = 2, seed: int = 0, part: Any = None
) -> nn.Module:
    """In double precision."""
    fields = tuple(string.ascii_lowercase[:outputs])
    module = (part or trial.part).build(box, fields, torch.Generator().manual_seed(seed))
    assert isinstance(module, nn.Module), (
        f"build returns {type(module).__name__}: return a torch.nn.Module"
    )
    return module.double()


def its_output_has_one_column_a_field(trial: Trial) -> None:
    for box, outputs in SIZES:
        for precision in (torch.float32, torch.float64):
            module, points = (
                _built(trial, box, outputs).to(precision),
                points_in(box, 6).to(precision),
            )
            found = module(points)
            assert found.shape == (len(points), outputs), (
                f"for {len(points)} points in {box.dimension} dimensions and {outputs} fields the "
                f"module returns shape {tuple(found.shape)}: return ({len(points)}, {outputs}); "
                "inputs.dimension and len(outputs) say how many"
            )
            assert found.dtype == precision, (
                f"for points of {precision} the module returns {found.dtype}: keep its numbers as "
                "parameters or buffers, which .to() converts"
            )
            assert torch.isfinite(found).all(), (
                f"the module returns numbers that are not finite for {box}"
            )
    assert any(p.requires_grad for p in module.parameters()), (
        "the module has nothing to train: hold weights in torch.nn.Parameter, layers in "
        "attributes or torch.nn.ModuleList"
    )


def its_initial_values_come_from_the_generator_alone(trial: Trial) -> None:
    torch.manual_seed(0)
    first = _built(trial).state_dict()
    torch.manual_seed(1)
    again = _built(trial, part=trial.fresh()).state_dict()
    place = first_difference(dict(first), dict(again))
    assert place is None, (
        f"two modules from the same generator differ in {place}: something else was drawn from. "
        "Layers such as torch.nn.Linear initialise themselves from torch's global generator: "
        f"{DRAW}, biases too"
    )
    other = _built(trial, seed=1).state_dict()
    assert first_difference(dict(first), dict(other)) is not None, (
        f"two generators give the same initial values, so that no seed changes anything: {DRAW}"
    )


def its_rows_do_not_mix(trial: Trial) -> None:
    module, points = _built(trial), points_in(BOXES[1], 9)
    whole, first = module(points).detach(), module(points[:4]).detach()
    off = float((whole[:4] - first).abs().max())
    assert off <= CLOSE * float(whole.abs().max()), (
        f"the output at a point depends on the other points (off by {off:.3g}): no batch "
        "normalisation, no mean over rows; a network is a function of one point"
    )


def its_output_depends_on_its_input_alone(trial: Trial) -> None:
    module, points = _built(trial), points_in(BOXES[1], 6)
    torch.manual_seed(0)
    first = module(points)
    torch.manual_seed(0)
    again = module(points)
    assert torch.equal(first, again), (
        "the module returns something else when it is called again: forward keeps something; make "
        "it depend on the parameters and its input alone"
    )


def its_taylor_series_agree_with_nested_autograd(trial: Trial) -> None:
    for box, outputs in SIZES:
        module, points = _moved(_built(trial, box, outputs)), points_in(box, 6)
        wanted = _indices(box.dimension)
        carried = jets([{index: 1.0} for index in wanted])
        columns: Any = [coordinate(points[:, i : i + 1], i, carried) for i in range(box.dimension)]
        series = module(torch.cat(columns, -1))
        traced = points.clone().requires_grad_()
        plain = module(traced)
        for index, field in product(wanted, range(outputs)):
            naive = derivative(plain[:, field], traced, index).detach()
            found = series.read({index: 1.0})[:, field].detach()
            off, size = float((found - naive).abs().max()), float(naive.abs().max())
            if off > CLOSE * max(size, 1e-6) and not _is_the_slope(module, points, index, field):
                raise AssertionError(
                    f"the derivative {_named(index, box)} is {float(found[0]):.6g} by Taylor "
                    f"series and {float(naive[0]):.6g} by nested autograd (off by {off:.3g} at "
                    "most): something in forward cuts or hides derivatives (.detach(), "
                    "torch.no_grad, NumPy, writing in place); use torch operations throughout"
                )


STEP = 1e-3


def _is_the_slope(module: nn.Module, points: torch.Tensor, index: MultiIndex, field: int) -> bool:
    """Whether a second or higher derivative by series is the slope of the one below it, by differences.

    torch's own nested derivatives are wrong for some operations, layer_norm for one, and lose digits in
    others. The first derivatives, which it has right, must agree as they are.
    """
    if sum(index) < 2:
        return False
    axis = next(axis for axis, degree in enumerate(index) if degree)
    below = tuple(degree - (i == axis) for i, degree in enumerate(index))
    carried = jets([{index: 1.0}, {below: 1.0}])

    def series(at: torch.Tensor) -> Any:
        columns: Any = [coordinate(at[:, i : i + 1], i, carried) for i in range(at.shape[1])]
        return module(torch.cat(columns, -1))

    move = STEP * torch.eye(points.shape[1], dtype=points.dtype)[axis]
    values = [
        series(points + k * move).read({below: 1.0})[:, field].detach() for k in (-2, -1, 1, 2)
    ]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * STEP)
    found = series(points).read({index: 1.0})[:, field].detach()
    size = max(float(value.abs().max()) for value in (found, *values))
    return float((found - slope).abs().max()) <= 1e-7 * max(size, 1e-6)


def _moved(module: nn.Module) -> nn.Module:
    """With every parameter away from where it starts, which may be 0."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.add_(0.1 * noise)
    return module


def _indices(dimension: int) -> list[MultiIndex]:
    """All up to the second derivatives, and a third one: u_xxx, u_xxy or u_xyz."""
    third: dict[int, MultiIndex] = {1: (3,), 2: (2, 1), 3: (1, 1, 1)}
    return [*(i for i in product(range(3), repeat=dimension) if sum(i) <= 2), third[dimension]]


def _named(index: MultiIndex, box: Box) -> str:
    letters = "".join(name * degree for name, degree in zip(box.names, index, strict=True))
    return f"u_{letters}" if letters else "u"


def it_bends(trial: Trial) -> None:
    """Advice, as not every equation is of second order."""
    box = BOXES[1]
    points = points_in(box, 50).requires_grad_()
    value = _moved(_built(trial, box))(points)[:, 0]
    bends = [derivative(value, points, index) for index in ((2, 0), (0, 2), (1, 1))]
    if not any(bend.any() for bend in bends):
        trial.advise(
            "all its second derivatives are zero: equations of second order cannot be solved with "
            "it; use a smooth activation such as tanh, not ReLU"
        )


def saving_and_loading_it_loses_nothing(trial: Trial) -> None:
    module, other, points = _built(trial), _built(trial, seed=1), points_in(BOXES[1], 6)
    other.load_state_dict(module.state_dict())
    off = float((module(points) - other(points)).detach().abs().max())
    assert off == 0, (
        f"a module that loads the state_dict of another differs from it by {off:.3g}: a number "
        "that was drawn is neither parameter nor buffer, so that no checkpoint saves it; use "
        "self.register_buffer('frequencies', tensor)"
    )


def a_gradient_reaches_every_parameter(trial: Trial) -> None:
    module, points = _moved(_built(trial)), points_in(BOXES[1], 20)
    named = {name: p for name, p in module.named_parameters() if p.requires_grad}
    target = torch.randn(20, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    loss = ((module(points) - target) ** 2).mean()
    gradients = torch.autograd.grad(loss, [*named.values()], allow_unused=True)
    for name, gradient in zip(named, gradients, strict=True):
        assert gradient is not None and gradient.any(), (
            f"no gradient reaches the parameter {name!r}: it does not change the output; use it "
            "in forward, leave it out, or call .requires_grad_(False)"
        )
        assert torch.isfinite(gradient).all(), (
            f"the gradient of the parameter {name!r} is not finite"
        )


def it_is_finite_on_boxes_far_from_unit_size(trial: Trial) -> None:
    module = _built(trial, FAR).float()
    corners = torch.tensor([FAR.lower, FAR.upper, (3000.0, 5e-7)])
    found = module(corners)
    trained = [p for p in module.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(found.sum(), trained)
    assert torch.isfinite(found).all() and all(torch.isfinite(g).all() for g in gradients), (
        f"on {FAR} the output or its gradient is not finite in float32: map every coordinate to "
        "[-1, 1] by inputs.lower and inputs.upper first"
    )


def its_points_can_be_batched(trial: Trial) -> None:
    """As analyzers ask for: gradients of many batches at once, by torch.func.vmap."""
    problem = SmallProblem()
    module = _built(trial, problem.domain, len(problem.fields))
    objective = Objective(problem, module, SmallWeighting(), {})
    points = points_in(problem.domain, 12).reshape(3, 4, 2)
    weights = torch.ones(3, 2, 4, dtype=torch.float64)
    try:
        together = objective.batch_gradients(objective.parameters, points, weights)
    except Exception as error:
        raise AssertionError(
            f"gradients of several batches at once fail ({type(error).__name__}: {error}): "
            "torch.func.vmap must be able to run forward; do not look at numbers, write in place "
            "or draw random numbers in it"
        ) from error
    for batch in range(3):
        loss = objective.interior_loss(objective.parameters, points[batch], weights[batch])
        alone = torch.autograd.grad(loss, objective.parameters, materialize_grads=True)
        for name, one, many in zip(objective.parameter_names, alone, together, strict=True):
            off = float((one - many[batch]).detach().abs().max())
            assert off <= CLOSE * max(float(one.abs().max()), 1e-6), (
                f"the gradient of {name!r} differs by {off:.3g} where several batches are "
                "computed at once: forward looks across points"
            )


def its_code_runs_on_any_device(trial: Trial) -> None:
    module = deepcopy(_built(trial)).to(META)
    mend = "keep tensors as parameters or buffers, or make them of the input, as in x.new_zeros(…)"
    check_device("forward", mend, lambda: module(points_in(BOXES[1], 6).to(META)))


CHECKS = (
    its_output_has_one_column_a_field,
    its_initial_values_come_from_the_generator_alone,
    its_output_depends_on_its_input_alone,
    its_rows_do_not_mix,
    saving_and_loading_it_loses_nothing,
    a_gradient_reaches_every_parameter,
    its_taylor_series_agree_with_nested_autograd,
    it_bends,
    it_is_finite_on_boxes_far_from_unit_size,
    its_points_can_be_batched,
    its_code_runs_on_any_device,
    its_training_step_can_be_compiled,
    it_trains_and_continues_exactly,
)
