"""Every rule of the Taylor series against nested reverse-mode autograd, in float64."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from pinn.core import Box
from pinn.engine.derivatives import Series, SeriesError, UnknownOperation, coordinate
from pinn.engine.derivatives.jets import Jets, MultiIndex, jets
from pinn.plugins.networks.feed_forward import ACTIVATIONS
from pinn.plugins.networks.mlp import MLP
from pinn.plugins.networks.modified_mlp import ModifiedMLP

Derivative = Callable[[Callable[[Tensor], Tensor], Tensor, MultiIndex], Tensor]
Close = Callable[..., None]
Function = Callable[[Any], Any]
Functional = dict[MultiIndex, float]

COUNT = 5
FUNCTIONALS: dict[str, Functional] = {
    "laplacian": {(2, 0): 1.0, (0, 2): 1.0},
    "heat": {(0, 1): 1.0, (2, 0): -1e-2},
    "biharmonic": {(4, 0): 1.0, (2, 2): 2.0, (0, 4): 1.0},
    "mixed": {(1, 1): -0.7, (3, 0): 0.3, (0, 0): 2.0},
}
QUOTIENT = [*FUNCTIONALS.values()]
CHEAP = [FUNCTIONALS["laplacian"], FUNCTIONALS["mixed"]]
PLAIN: list[Functional] = [{(4, 0): 1.0}, {(2, 2): 1.0}, {(1, 3): 1.0}]


def multi_indices(dimension: int, order: int) -> list[MultiIndex]:
    every = product(range(order + 1), repeat=dimension)
    return [index for index in every if sum(index) <= order]


def points(dimension: int = 2, count: int = COUNT, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, dimension, generator=generator, dtype=torch.float64) - 1


def as_series(x: Tensor, found: Jets) -> Any:
    """Coordinates (n, d) as one series, in the way that a network gets them."""
    columns: Any = [coordinate(x[:, i : i + 1], i, found) for i in range(x.shape[1])]
    return torch.cat(columns, -1)


def check(
    func: Function, x: Tensor, wanted: list[Functional], derivative: Derivative, close: Close
) -> None:
    """Each functional of each column of func(x), read off the series and by nested autograd."""
    output = func(as_series(x, jets([{(0,) * x.shape[1]: 1.0}, *wanted])))
    assert isinstance(output, Series)
    plain = func(x)
    assert output.shape == plain.shape
    torch.testing.assert_close(output.value, plain, rtol=1e-13, atol=1e-13)
    columns = math.prod(plain.shape[1:])
    for functional in wanted:
        found = output.read(functional).reshape(len(x), columns)
        for column in range(columns):

            def entry(p: Tensor, column: int = column) -> Tensor:
                result: Tensor = func(p).reshape(len(p), columns)[:, column]
                return result

            terms = {i: a * derivative(entry, x, i) for i, a in functional.items()}
            expected = torch.stack(list(terms.values())).sum(0)
            # A sum that cancels is compared at the scale of what it is made of.
            scale = max(1.0, *(float(t.abs().max()) for t in terms.values()))
            close(found[:, column] / scale, expected / scale)


def inner(x: Any) -> Any:
    """A curved function of two coordinates with values in (0.6, 2.6)."""
    a = x @ torch.tensor([[0.4, -0.2], [0.3, 0.5]], dtype=torch.float64)
    b = a * a
    return 1.4 + 0.5 * a[:, 0] - 0.3 * a[:, 1] + 0.2 * b[:, 0] + 0.1 * a[:, 0] * a[:, 1]


def test_the_inner_function_is_positive() -> None:
    values = inner(points(count=500))
    assert float(values.min()) > 0.5


TENSOR = torch.tensor([0.3, 1.2, 0.7, 2.1, 1.6], dtype=torch.float64)
POSITIVE: dict[str, Function] = {
    "log": torch.log,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "pow 2.5": lambda z: z**2.5,
    "pow -0.5": lambda z: torch.pow(z, -0.5),
    "pow tensor": lambda z: z**TENSOR,
    "pow 0-d tensor": lambda z: z ** torch.tensor(1.5, dtype=torch.float64),
    "pow series": lambda z: z ** (z * 0.5),
    "rpow float": lambda z: 2.0**z,
    "rpow torch": lambda z: torch.pow(2.0, z),
    "rpow tensor": lambda z: TENSOR**z,
    "rpow 0-d tensor": lambda z: torch.tensor(1.7, dtype=torch.float64) ** z,
}
ANYWHERE: dict[str, Function] = {
    "tanh": torch.tanh,
    "Tanh": nn.Tanh(),
    "sigmoid": torch.sigmoid,
    "Sigmoid": nn.Sigmoid(),
    "F.sigmoid": nn.functional.sigmoid,
    "exp": torch.exp,
    "sin": torch.sin,
    "cos": torch.cos,
    "method": lambda z: z.sin(),
    "erf": torch.erf,
    "atan": torch.atan,
    "arctan": torch.arctan,
    "atan2": lambda z: torch.atan2(torch.sin(z), z - 2.0),
    "atan2 of a tensor": lambda z: torch.atan2(torch.tensor(0.5).double(), z),
    "sinh": torch.sinh,
    "cosh": torch.cosh,
    "reciprocal": torch.reciprocal,
    "square": torch.square,
    "abs": torch.abs,
    "builtin abs": abs,
    "ReLU": nn.ReLU(),
    "relu": torch.relu,
    "SiLU": nn.SiLU(),
    "GELU": nn.GELU(),
    "GELU tanh": nn.GELU(approximate="tanh"),
    "Mish": nn.Mish(),
    "ELU": nn.ELU(0.7),
    "CELU": nn.CELU(0.5),
    "SELU": nn.SELU(),
    "LeakyReLU": nn.LeakyReLU(0.1),
    "LogSigmoid": nn.LogSigmoid(),
    "modulus": lambda z: torch.abs(torch.complex(z, torch.sin(z))),
    "phase": lambda z: (torch.exp(1j * z) * torch.conj(torch.complex(z, 1 - z))).imag,
    "real part": lambda z: ((1 + 2j) * z + torch.exp(0.5j * z)).real,
    "new_tensor": lambda z: z * z.new_tensor(2.0) + z.new_zeros(COUNT),
    "Softplus": nn.Softplus(),
    "Softplus beta": nn.Softplus(beta=2.5),
    "softplus": nn.functional.softplus,
    "pow 0": lambda z: z**0,
    "pow 1": lambda z: z**1,
    "pow 3": lambda z: z**3,
    "pow 3.0": lambda z: torch.pow(z, 3.0),
    "pow 7": lambda z: z**7,
    "pow -1": lambda z: z**-1,
    "pow -2": lambda z: torch.pow(z, -2),
    "pow whole tensor": lambda z: z ** torch.tensor(3.0, dtype=torch.float64),
    "neg": lambda z: -z,
    "pos": lambda z: +z,
    "z+1": lambda z: z + 1,
    "1-z": lambda z: 1 - z,
    "z-1": lambda z: z - 1,
    "2z": lambda z: 2 * z,
    "z/3": lambda z: z / 3,
    "3/z": lambda z: 3 / z,
    "z+tensor": lambda z: z + TENSOR,
    "tensor+z": lambda z: TENSOR + z,
    "z-tensor": lambda z: z - TENSOR,
    "tensor-z": lambda z: TENSOR - z,
    "z*tensor": lambda z: z * TENSOR,
    "tensor*z": lambda z: TENSOR * z,
    "z/tensor": lambda z: z / TENSOR,
    "tensor/z": lambda z: TENSOR / z,
    "numpy*z": lambda z: np.float64(2.5) * z,
    "numpy+z": lambda z: np.sqrt(2.0) + z,
    "z*numpy": lambda z: z * np.float64(2.5),
    "z+z": lambda z: z + torch.sin(z),
    "z-z": lambda z: z - torch.sin(z),
    "z*z": lambda z: z * torch.sin(z),
    "z/z": lambda z: torch.sin(z) / z,
    "augmented": lambda z: _augmented(z),
    "add": lambda z: torch.add(z, torch.cos(z), alpha=-2),
    "sub": lambda z: torch.sub(z, torch.cos(z), alpha=3),
    "rsub": lambda z: torch.rsub(z, 2.0),
    "sub tensor": lambda z: torch.sub(TENSOR, z, alpha=2),
    "mul": lambda z: torch.mul(TENSOR, z),
    "div": lambda z: torch.div(1 + z**2, z),
    "where": lambda z: torch.where(z > 1.4, torch.sin(z), z**2),
    "where <": lambda z: torch.where(z.abs() < 1.4, z * TENSOR, 3.0),
    "where tensor": lambda z: torch.where(TENSOR >= 1, TENSOR, z),
    "zeros_like": lambda z: torch.zeros_like(z) + z,
    "ones_like": lambda z: torch.ones_like(z) * 2.0,
}


def _augmented(z: Any) -> Any:
    z = z * 1.0
    z += 1
    z -= TENSOR
    z /= 2
    return z


@pytest.mark.parametrize("wanted", [PLAIN, QUOTIENT], ids=["plain", "quotient"])
@pytest.mark.parametrize("name", [*POSITIVE, *ANYWHERE])
def test_rule_of_positive_numbers(
    name: str, wanted: list[Functional], derivative: Derivative, close: Close
) -> None:
    rule = POSITIVE.get(name) or ANYWHERE[name]
    check(lambda x: rule(inner(x)), points(), wanted, derivative, close)


@pytest.mark.parametrize("name", ANYWHERE)
def test_rule_of_negative_numbers(name: str, derivative: Derivative, close: Close) -> None:
    check(lambda x: ANYWHERE[name](-inner(x)), points(), QUOTIENT, derivative, close)


@pytest.mark.parametrize("exponent", range(6))
def test_natural_powers_at_zero(exponent: int, derivative: Derivative, close: Close) -> None:
    x = torch.zeros(2, 2, dtype=torch.float64)
    wanted: list[Functional] = [{i: 1.0} for i in multi_indices(2, 4)]
    z = (as_series(x, jets(wanted))[:, 0] + 2 * as_series(x, jets(wanted))[:, 1]) ** exponent
    for (i, j), *_ in wanted:
        # D^(i,j) (x + 2y)^p at 0 is p! 2^j where i + j = p, and 0 elsewhere.
        expected = math.factorial(exponent) * 2.0**j if i + j == exponent else 0.0
        assert z.read({(i, j): 1.0}).tolist() == [expected] * 2


SHAPES: dict[str, Function] = {
    "cat": lambda z: torch.cat([z, torch.sin(z)], -1),
    "cat dim": lambda z: torch.cat((torch.cos(z), z), dim=1),
    "cat tensor": lambda z: torch.cat([torch.ones(COUNT, 1, dtype=torch.float64), z], 1),
    "stack": lambda z: torch.stack([z, z**2], 1),
    "stack last": lambda z: torch.stack([z[:, 0], torch.ones_like(z[:, 1])], -1),
    "stack first": lambda z: torch.stack([z, torch.sin(z)]).movedim(0, 1),
    "index": lambda z: z[:, 1] * z[:, 0],
    "slice": lambda z: z[..., 1:] * z[:, :1],
    "list index": lambda z: z[:, [1, 0, 1]],
    "new axis": lambda z: z[:, None, :] * z[:, :, None],
    "iterate": lambda z: torch.stack([row * row for row in z]),
    "unbind": lambda z: torch.mul(*torch.unbind(z, -1)),
    "split": lambda z: torch.mul(*torch.split(z, 1, dim=-1)),
    "chunk": lambda z: torch.mul(*z.chunk(2, dim=1)),
    "reshape": lambda z: z.reshape(COUNT, 1, 2),
    "view": lambda z: z.view(2 * COUNT).view(COUNT, 2),
    "flatten": lambda z: z[:, :, None].flatten(1),
    "squeeze": lambda z: z.unsqueeze(1).squeeze(1),
    "transpose": lambda z: (z.t() * TENSOR).transpose(0, 1),
    "permute": lambda z: z.permute(1, 0).permute(1, 0),
    "expand": lambda z: z[:, :1].expand(COUNT, 3),
    "flip": lambda z: z.flip(1),
    "sum": lambda z: torch.sum(z**2, dim=1),
    "sum keepdim": lambda z: (z**2).sum(-1, keepdim=True) * z,
    "mean": lambda z: torch.mean(torch.sin(z), -1),
    "cumsum": lambda z: torch.cumsum(z * z, 1),
    "matmul": lambda z: z @ WEIGHT.T,
    "matmul from the left": lambda z: LEFT @ z,
    "matmul of a vector": lambda z: torch.matmul(z, WEIGHT[0]),
    "matmul of series": lambda z: torch.matmul(z[:, None, :], torch.sin(z)[:, :, None]),
    "mm": lambda z: torch.mm(z, WEIGHT.T),
    "linear": lambda z: nn.functional.linear(z, WEIGHT, WEIGHT[:, 0]),
    "linear without bias": lambda z: nn.functional.linear(z, WEIGHT),
    "linear of a broadcast sum": lambda z: nn.functional.linear(z[:, :1] - WEIGHT[0], WEIGHT),
    "matmul of a broadcast sum": lambda z: (z[:, :1] - WEIGHT[0]) @ WEIGHT.T,
    "addmm": lambda z: torch.addmm(WEIGHT[:, 1], z, WEIGHT.T, beta=2, alpha=0.5),
    "einsum": lambda z: torch.einsum("nd,kd->nk", z, WEIGHT),
    "einsum first": lambda z: torch.einsum("kd,nd->nk", WEIGHT, z),
    "dot": lambda z: torch.einsum("nd,d->n", z, WEIGHT[0]),
    "outer difference": lambda z: torch.exp(-((z[:, :1] - TENSOR) ** 2)),
}
WEIGHT = torch.tensor([[0.5, -1.0], [0.2, 0.3], [-0.7, 0.4]], dtype=torch.float64)
LEFT = torch.diag(TENSOR)


@pytest.mark.parametrize("curved", [False, True], ids=["coordinates", "curved"])
@pytest.mark.parametrize("name", SHAPES)
def test_rule_of_shapes_and_products(
    name: str, curved: bool, derivative: Derivative, close: Close
) -> None:
    def func(x: Any) -> Any:
        return SHAPES[name](torch.sin(x) * x if curved else x)

    check(func, points(), QUOTIENT, derivative, close)


@pytest.mark.parametrize("compare", [torch.gt, torch.lt, torch.ge, torch.le, torch.eq, torch.ne])
def test_comparisons_look_at_values(compare: Callable[..., Tensor]) -> None:
    x = points()
    z = as_series(x, jets(QUOTIENT))
    dunder = f"__{compare.__name__}__"
    assert torch.equal(compare(z, 0.1), compare(x, 0.1))
    assert torch.equal(getattr(z, dunder)(0.1), compare(x, 0.1))
    assert torch.equal(compare(z, z[:, :1]), compare(x, x[:, :1]))
    assert torch.equal(getattr(x, dunder)(z[:, :1]), compare(x, x[:, :1]))
    assert isinstance(z == 0, Tensor)


def test_series_behave_as_tensors_do_where_they_can() -> None:
    x = points()
    z = as_series(x, jets(QUOTIENT))
    assert (z.shape, z.size(), z.size(1), z.dim(), z.ndim) == (x.shape, x.size(), 2, 2, 2)
    assert (len(z), z.dtype, z.device) == (COUNT, torch.float64, x.device)
    assert torch.equal(torch.sign(z), torch.sign(x))
    assert isinstance(hash(z), int)
    assert "Series(shape=(5, 2)" in repr(z)
    with pytest.raises(AttributeError, match="no attribute 'sinn'"):
        _ = z.sinn
    with pytest.raises(AttributeError, match="no attribute 'T'"):
        _ = z.T


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("add_", lambda z: z.add_(1)),
        ("relu_", torch.relu_),
        ("sin_", lambda z: torch.sin_(z)),
        ("copy_", lambda z: torch.zeros(COUNT, 2).copy_(z)),
    ],
)
def test_in_place_operations_are_refused_by_name(name: str, operation: Function) -> None:
    z = as_series(points(), jets(QUOTIENT))
    with pytest.raises(SeriesError, match=f"{name} works in place.*use {name[:-1]}"):
        operation(z)


def test_writing_into_a_tensor_is_refused() -> None:
    z = as_series(points(), jets(QUOTIENT))
    target = torch.zeros(COUNT, 2, dtype=torch.float64)
    with pytest.raises(
        SeriesError, match=r"cannot be written into a tensor: use torch\.cat or stack"
    ):
        target[:, 0] = z[:, 0]
    with pytest.raises(TypeError, match="item assignment"):
        z[:, 0] = 1.0


def test_operations_without_derivatives_are_refused() -> None:
    z = as_series(points(), jets(QUOTIENT))
    with pytest.raises(SeriesError, match="rounded quotient"):
        torch.div(z, 2, rounding_mode="floor")
    with pytest.raises(SeriesError, match="plain condition"):
        torch.where(z, 1.0, 2.0)
    with (
        pytest.warns(UnknownOperation, match="torch.max"),
        pytest.raises(SeriesError, match="max does not return one tensor"),
    ):
        z.max(0)


UNKNOWN: dict[str, tuple[str, Function]] = {
    "tan": ("tan", lambda z: torch.tan(0.5 * z)),
    "log1p": ("log1p", lambda z: torch.log1p(z * z)),
    "hardtanh": ("hardtanh", nn.functional.hardtanh),
    "bessel_j0": ("special_bessel_j0", torch.special.bessel_j0),
    "det": ("linalg_det", lambda z: torch.linalg.det(z[:, :, None] * z[:, None] + torch.eye(2))),
    "softmax": ("softmax", lambda z: torch.softmax(z, -1)),
    "prod": ("prod", lambda z: z.prod(-1)),
    "norm": ("linalg_norm", lambda z: torch.linalg.norm(z, dim=-1)),
    "addcmul": ("addcmul", lambda z: torch.addcmul(z, z, torch.cos(z))),
    "einsum of series": ("einsum", lambda z: torch.einsum("nd,nd->n", z, torch.sin(z))),
    "linear with a series as weight": ("linear", lambda z: nn.functional.linear(LEFT[:, :2], z)),
    "keyword": ("hypot", lambda z: torch.hypot(input=z, other=torch.sin(z) + 3)),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unknown_operations_fall_back_with_one_warning_and_are_right(
    name: str, derivative: Derivative, close: Close
) -> None:
    known_as, operation = UNKNOWN[name]
    if name == "linear with a series as weight":

        def func(x: Any) -> Any:
            return operation(torch.sin(x)).t() if isinstance(x, Series) else operation(x.sin()).T
    else:

        def func(x: Any) -> Any:
            return operation(torch.sin(x) + 0.3 * x)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UnknownOperation)
        func(as_series(points(), jets(CHEAP)))
    unknown = [str(w.message) for w in caught if issubclass(w.category, UnknownOperation)]
    assert len(unknown) == 1
    assert f"torch.{known_as} has no Taylor rule" in unknown[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnknownOperation)
        check(func, points(), CHEAP, derivative, close)


def test_parameters_get_their_gradient_through_the_fallback(close: Close) -> None:
    x, found = points(), jets([FUNCTIONALS["laplacian"]])
    gradients = []
    for func in (torch.log1p, lambda z: torch.log(1 + z)):
        weight = WEIGHT.clone().requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnknownOperation)
            output = func(as_series(x, found) ** 2 @ weight.T * 0.1)
        loss = (output.read(FUNCTIONALS["laplacian"]) ** 2).sum()
        gradients.append(torch.autograd.grad(loss, weight)[0])
    close(gradients[0], gradients[1])


def test_slopes_stay_one_row_through_the_first_linear_layer() -> None:
    module = MLP(width=7, depth=1, normalise=True).build(
        Box(x=(0, 3), y=(-1, 2)), ("u",), torch.Generator().manual_seed(0)
    )
    seen: list[Series] = []
    embedding, first = module[0], module[1]  # type: ignore[index]
    embedding.register_forward_hook(lambda _, __, output: seen.append(output))
    first.register_forward_hook(lambda _, __, output: seen.append(output))
    module.double()(as_series(points(count=50), jets(QUOTIENT)))
    embedded, hidden = seen
    assert {i: tuple(c.shape) for i, c in embedded.coefficients.items()} == {
        0: (50, 2), **dict.fromkeys(range(1, 3), (1, 2)),
    }  # fmt: skip
    assert {i: tuple(c.shape) for i, c in hidden.coefficients.items()} == {
        0: (50, 7), **dict.fromkeys(range(1, 3), (1, 7)),
    }  # fmt: skip


# --- whole networks


class Elementwise(nn.Module):
    def __init__(self, func: Function) -> None:
        super().__init__()
        self.func = func

    def forward(self, z: Any) -> Any:
        return self.func(z)


OUTER: dict[str, Function] = {
    "exp": lambda z: torch.exp(0.5 * z),
    "sqrt": lambda z: torch.sqrt(1 + z * z),
    "gaussian": lambda z: torch.exp(-(z**2)),
    "log": lambda z: torch.log(2 + z * z),
    "rational": lambda z: z / (1 + z**2),
    "softplus beta": nn.Softplus(beta=3.0),
    "gelu": nn.GELU(),
    "atan": torch.atan,
    "erf": torch.erf,
    "cosh": lambda z: torch.cosh(z) ** -1,
}


@st.composite
def networks(draw: st.DrawFn, dimension: int) -> tuple[Box, nn.Module]:
    bounds = st.tuples(st.integers(-3, 0), st.integers(1, 4))
    box = Box(**{f"x{i}": draw(bounds) for i in range(dimension)})
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    if draw(st.booleans()):
        widths = [dimension, *draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)), 2]
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            if i:
                layers.append(Elementwise(OUTER[draw(st.sampled_from(sorted(OUTER)))]))
            layers.append(nn.Linear(before, after))
        module: nn.Module = nn.Sequential(*layers)
    else:
        part = draw(st.sampled_from([MLP, ModifiedMLP]))(
            width=draw(st.integers(1, 5)),
            depth=draw(st.integers(1, 3)),
            activation=draw(st.sampled_from(ACTIVATIONS)),
            normalise=draw(st.booleans()),
            periodic=draw(st.lists(st.sampled_from(box.names), unique=True, max_size=2)),
            **draw(st.sampled_from([{}, {"odd": ["x0"]}, {"even": ["x0"]}, {"odd": ["v.x0"]}])),
            modes=draw(st.integers(1, 2)),
            fourier_features=draw(st.sampled_from([0, 0, 3])),
        )
        module = part.build(box, ("u", "v"), generator)
    module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    return box, module


COEFFICIENTS = st.sampled_from([1.0, -1.0, 2.0, 1e-4, -0.1, 1 / 3, -0.01 / math.pi])


@st.composite
def functionals(draw: st.DrawFn, dimension: int) -> list[Functional]:
    indices = st.sampled_from(multi_indices(dimension, 4))
    single = st.builds(lambda index: {index: 1.0}, indices)
    combined = st.dictionaries(indices, COEFFICIENTS, min_size=1, max_size=3)
    return draw(st.lists(single | combined, min_size=1, max_size=3))


@settings(max_examples=100)
@given(st.data(), st.integers(1, 4), st.integers(0, 1000))
def test_random_networks_and_functionals(
    derivative: Derivative, close: Close, data: st.DataObject, dimension: int, seed: int
) -> None:
    _, module = data.draw(networks(dimension))
    wanted = data.draw(functionals(dimension))
    check(module, points(dimension, 3, seed), wanted, derivative, close)


@pytest.mark.parametrize("part", [MLP, ModifiedMLP])
def test_all_mixed_derivatives_up_to_order_four_in_four_coordinates(
    part: type[MLP] | type[ModifiedMLP], derivative: Derivative, close: Close
) -> None:
    box = Box(x=(-1, 1), y=(0, 2), z=(-3, 1), t=(0, 1))
    module = part(width=5, depth=2, periodic=["y"]).build(
        box, ("u",), torch.Generator().manual_seed(1)
    )
    wanted: list[Functional] = [{index: 1.0} for index in multi_indices(4, 4)]
    assert len(wanted) == 70
    assert jets(wanted).monomials == tuple(
        sorted(multi_indices(4, 4), key=lambda index: (sum(index), index))
    )
    check(module.double(), points(4, 3), wanted, derivative, close)


@given(st.data(), st.integers(0, 1000))
def test_a_functional_reads_the_same_from_any_jets_that_hold_it(
    close: Close, data: st.DataObject, seed: int
) -> None:
    _, module = data.draw(networks(2))
    functional, *others = data.draw(functionals(2))
    x = points(2, 4, seed)
    alone = module(as_series(x, jets([functional]))).read(functional)
    among = module(as_series(x, jets([functional, *others, *PLAIN]))).read(functional)
    close(alone.detach(), among.detach())


def plain_layer_norm(z: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = z - z.mean(-1, keepdim=True)
    return centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5) * weight + bias


def test_layer_norm(derivative: Derivative, close: Close) -> None:
    """Against a version in parts: torch's own has wrong higher derivatives."""
    module = nn.LayerNorm(3).double()
    weight, bias = module.weight.detach(), module.bias.detach()
    with torch.no_grad():
        weight.uniform_(0.5, 2)
        bias.uniform_(-1, 1)

    def func(x: Any) -> Any:
        z = torch.sin(x @ WEIGHT.T) + 0.3 * torch.cat([x, x[:, :1]], -1)
        return module(z) if isinstance(z, Series) else plain_layer_norm(z, weight, bias)

    torch.testing.assert_close(
        module(points(3)), plain_layer_norm(points(3), weight, bias), rtol=1e-12, atol=1e-12
    )
    check(func, points(), QUOTIENT, derivative, close)


def test_a_channel_that_is_absent_reads_as_zero() -> None:
    found = jets(PLAIN)
    z = coordinate(points()[:, 0], 0, found)
    assert torch.equal(z.read({(1, 0): 1.0}), torch.ones(COUNT, dtype=torch.float64))
    assert torch.equal(z.read({(2, 2): 3.0}), torch.zeros(COUNT, dtype=torch.float64))
    assert torch.equal(torch.ones_like(z).read({(1, 0): 1.0}), torch.zeros_like(z.value))


def test_sinh_keeps_its_digits_near_zero() -> None:
    z = coordinate(torch.tensor([1e-7]), 0, jets([{(1,): 1.0}]))
    assert float(torch.sinh(z).value) == pytest.approx(1e-7, rel=1e-6)
