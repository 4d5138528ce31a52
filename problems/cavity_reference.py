"""Reference solution of the steady lid-driven cavity by a spectral streamfunction method.

The flow on the unit square obeys, with the streamfunction psi (u = psi_y, v = -psi_x),

    u . grad u = -grad p + (1/Re) lap u,      div u = 0,

with no slip on all walls and the lid y = 1 moving with (g(x), 0), where g = 1 (``"constant"``) or
g = 16 x^2 (1 - x)^2 (``"regularised"``). psi = 0 on all walls, p = 0 in the corner (0, 0).

Method: Galerkin with polynomials that vanish with their slope on all walls, products of those of
J. Shen (SIAM J. Sci. Comput. 15 (1994) 1489), and Newton's method with continuation in Re. Under
the ends of a constant lid vorticity and pressure are infinite like 1/r; there the first two terms
of the flow, Stokes and inertia, are split off in closed form, as O. Botella and R. Peyret do
(Comput. Fluids 27 (1998) 421). The pressure follows from the momentum equations in weak form.

Accuracy, as relative L2 change on 129 x 129 points when the modes a side are refined; "p away" is
more than 0.05 from the upper corners of the lid:

    Re     modes     constant lid: speed   p        p away    regularised lid: speed   p
    100    48 - 64                 1.1e-6  1.1e-4   7.2e-5                     2.5e-9  2.2e-6
    400    48 - 64                 1.7e-5  6.9e-4   3.4e-4                     4.3e-9  5.4e-7
    1000   80 - 96                 5.4e-6  2.8e-4   1.5e-4                     8e-11   6.6e-8
    3200   80 - 96                 5.0e-5  8.4e-4   4.7e-4                     7.6e-9  3.6e-8

At Re = 1000 80 modes (the default; 20 s) agree with u along x = 0.5 of Botella and Peyret within
2e-7 and with their p within 2e-5; the main vortex has their psi = -0.1189366 at (0.5308, 0.5652).

The tables of Ghia, Ghia and Shin (J. Comput. Phys. 48 (1982) 387) are matched within 0.0093 (Re
100) and 0.0062 (Re 400), but only within 0.018 (Re 1000, five values beyond 0.01, all of v in the
boundary layer at x > 0.9) and 0.050 (Re 3200, eight values beyond 0.01, in the layers at y < 0.11
and x > 0.94), two misprints aside. There the tables are the less accurate: at Re = 1000 Botella and
Peyret differ from them by the same amounts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import comb, factorial, pi
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.polynomial import Polynomial, legendre
from numpy.polynomial.polynomial import polyder, polyval2d
from numpy.typing import NDArray
from scipy.linalg import eigh, lu_factor, lu_solve

from pinn.problems.cavity_corners import CORNER_B, CORNER_C, CORNER_D

Array = NDArray[np.float64]
Lid = Literal["constant", "regularised"]
Fields = dict[str, Array]

DATA = Path(__file__).parent / "data"
MODES = 80
CONTINUATION_MODES = 40

logger = logging.getLogger(__name__)


def _smooth_step(order: int = 3) -> Polynomial:
    """The polynomial s with s(0) = 0, s(1) = 1, s(x) + s(1 - x) = 1 and flat ends to this order."""
    slope = Polynomial([0.0, 1.0]) ** order * Polynomial([1.0, -1.0]) ** order
    integral = slope.integ()
    return integral / integral(1.0)


STEP = _smooth_step()

# K = -int f w sin(2 theta) over the corner's right angle, see `_inertial_shape`.
CORNER_K = (
    -pi / 4 * CORNER_B * CORNER_D
    + CORNER_B * CORNER_C
    + pi / 8 * CORNER_C * CORNER_D
    - pi**2 / 16 * (CORNER_D**2 - CORNER_C**2)
)


def _inertial_shape() -> list[Array]:
    """r^2 g(theta) as polynomials in x and s that multiply 1, theta and theta^2.

    The first effect of inertia on the Stokes flow r f(theta) of the corner is Re r^2 g(theta) with
    g_ttt + 4 g_t = f w + K, where w / r is the Laplacian of r f; g = g_t = 0 on both walls
    determines K. Here g = p + q cos(2 theta) + r sin(2 theta) with polynomials p, q, r in theta.
    """
    a0 = CORNER_K - CORNER_B * CORNER_C
    a1, a2 = CORNER_B * CORNER_C, CORNER_B * CORNER_D
    b1, b2 = 2 * CORNER_C * CORNER_D, CORNER_D**2 - CORNER_C**2
    q2, r2 = -b1 / 16, -b2 / 16
    q1, r1 = r2 - (a1 - 4 * r2) / 8, (b1 / 4 - a2) / 8 - q2
    q0, r0 = (a0 * pi / 8 - q1 * pi / 2 - q2 * pi**2 / 4) / 2, -(a0 / 4 + q1) / 2
    radius = np.array([[0, 0, 1.0], [0, 0, 0], [1, 0, 0]])
    cosine = np.array([[0, 0, -1.0], [0, 0, 0], [1, 0, 0]])
    sine = np.array([[0, 0, 0.0], [0, 2, 0], [0, 0, 0]])
    return [
        -q0 * radius + q0 * cosine + r0 * sine,
        a0 / 4 * radius + q1 * cosine + r1 * sine,
        q2 * cosine + r2 * sine,
    ]


STOKES = [
    np.array([[0, CORNER_B, 0], [0, 0, 0], [0, 0, 0]]),
    np.array([[0, CORNER_D, 0], [CORNER_C, 0, 0], [0, 0, 0]]),
    np.zeros((3, 3)),
]
INERTIAL = _inertial_shape()

Derivative = Callable[[int, int], Array]


def _product(f: Derivative, g: Derivative) -> Derivative:
    """The mixed derivatives of a product from those of its factors (Leibniz)."""

    def derivative(i: int, j: int) -> Array:
        terms = [
            comb(i, a) * comb(j, b) * f(a, b) * g(i - a, j - b)
            for a in range(i + 1)
            for b in range(j + 1)
        ]
        return np.asarray(sum(terms), np.float64)

    return derivative


def _angle(x: Array, s: Array) -> Derivative:
    """The derivatives of the polar angle theta = Im log(x + i s)."""
    z = x + 1j * s

    def derivative(i: int, j: int) -> Array:
        order = i + j
        if order == 0:
            return np.asarray(np.angle(z), np.float64)
        log_derivative = (-1) ** (order - 1) * factorial(order - 1) / z**order
        return np.asarray(np.imag(1j**j * log_derivative), np.float64)

    return derivative


def _corner(x: Array, y: Array, reynolds: float = 0.0) -> Derivative:
    """Two terms of the flow in the upper left corner under the lid y = 1, with their derivatives.

    The Stokes flow (Goodier 1934, Taylor 1962) has psi = psi_x = 0 on x = 0 and psi = 0, psi_y = 1
    on y = 1; the inertial term of `_inertial_shape` vanishes with its slope on both.
    """
    s = 1 - y
    theta = _angle(x, s)
    powers = [None, theta, _product(theta, theta)]

    def polynomial(coefficients: Array) -> Derivative:
        def derivative(i: int, j: int) -> Array:
            slopes = polyder(polyder(coefficients, i, axis=0), j, axis=1)
            at_x, at_s = np.broadcast_arrays(x, s)
            return np.asarray(polyval2d(at_x, at_s, slopes), np.float64)

        return derivative

    def derivative(i: int, j: int) -> Array:
        total = np.zeros(np.broadcast_shapes(x.shape, y.shape))
        for power, stokes, inertial in zip(powers, STOKES, INERTIAL, strict=True):
            factor = polynomial(stokes + reynolds * inertial)
            total += factor(i, j) if power is None else _product(power, factor)(i, j)
        return (-1.0) ** j * total

    return derivative


def _mirrored(x: Array, y: Array, reynolds: float = 0.0) -> Derivative:
    """`_corner` for the upper right corner: reflected, the flow has the opposite sense."""
    left = _corner(1 - x, y, -reynolds)
    return lambda i, j: (-1.0) ** i * left(i, j)


def _corner_pressure(x: Array, y: Array, reynolds: float) -> Array:
    """The pressure that becomes infinite at the upper corners, of both added.

    It is -2 (c x + d s) / (Re r^2) for the Stokes flow of the left corner and -K log r for inertia.
    """

    def stokes(x: Array, s: Array) -> Array:
        return -2 * (CORNER_C * x + CORNER_D * s) / (reynolds * (x**2 + s**2))

    def inertia(x: Array, s: Array) -> Array:
        return -CORNER_K / 2 * np.log(x**2 + s**2)

    s = 1 - y
    return stokes(x, s) - stokes(1 - x, s) + inertia(x, s) + inertia(1 - x, s)


def _corner_inertia(x: Array, y: Array) -> tuple[Array, Array]:
    """The gradient of the inertial part of `_corner_pressure`."""
    s = 1 - y
    left, right = -CORNER_K / (x**2 + s**2), -CORNER_K / ((1 - x) ** 2 + s**2)
    return left * x - right * (1 - x), -(left + right) * s


def _lifting(lid: Lid, reynolds: float, x: Array, y: Array) -> Derivative:
    """A function that meets the conditions on psi on all four walls, with its derivatives.

    With a constant lid it also contains the corner flows, each faded out towards the other walls.
    """
    if lid == "regularised":
        along = 16 * Polynomial([0, 1]) ** 2 * Polynomial([1, -1]) ** 2
        across = Polynomial([0, 0, -1, 1])
        return _separable(along, across, x, y)
    left = _product(_separable(1 - STEP, STEP, x, y), _corner(x, y, reynolds))
    right = _product(_separable(STEP, STEP, x, y), _mirrored(x, y, reynolds))
    return lambda i, j: left(i, j) + right(i, j)


def _separable(along: Polynomial, across: Polynomial, x: Array, y: Array) -> Derivative:
    return lambda i, j: np.asarray(along.deriv(i)(x) * across.deriv(j)(y), np.float64)


def _legendre(x: Array, count: int, order: int) -> Array:
    """Legendre polynomials of degree 0 ... count - 1 on [0, 1], differentiated: (points, count)."""
    coefficients = legendre.legder(np.eye(count), order, axis=0)
    return 2.0**order * legendre.legvander(2 * x - 1, coefficients.shape[0] - 1) @ coefficients


def _clamped(x: Array, modes: int, order: int) -> Array:
    """Polynomials with value and slope zero at 0 and 1, differentiated: (points, modes).

    The second derivatives are the Legendre polynomials of degree 2, 3, ... (Shen 1994), which keeps
    the biharmonic operator well conditioned.
    """
    m = np.arange(2, modes + 2)
    if order >= 2:
        return _legendre(x, modes + 2, order - 2)[:, 2:] * np.sqrt(2 * m + 1)
    p = _legendre(x, modes + 4, 0)
    scale = 1 / np.sqrt(2 * m + 1)
    if order == 1:
        return (p[:, m + 1] - p[:, m - 1]) / 2 * scale
    upper = (p[:, m + 2] - p[:, m]) / (2 * m + 3)
    lower = (p[:, m] - p[:, m - 2]) / (2 * m - 1)
    return (upper - lower) / 4 * scale


class _Galerkin:
    """Weak form of the vorticity equation, for all clamped test functions phi:

    int lap psi lap phi + Re int lap psi (psi_y phi_x - psi_x phi_y) = 0.
    """

    def __init__(self, lid: Lid, reynolds: float, modes: int, nodes_per_mode: float) -> None:
        self.modes = modes
        nodes, weights = legendre.leggauss(int(nodes_per_mode * modes) + 16)
        self.nodes = (nodes + 1) / 2
        self.weights = np.outer(weights, weights) / 4
        self.basis = [_clamped(self.nodes, modes, order) for order in range(3)]
        x, y = np.meshgrid(self.nodes, self.nodes, indexing="ij")
        orders = [(1, 0), (0, 1), (2, 0), (0, 2)]
        lifting = _lifting(lid, reynolds, x, y)
        self.lifting = {order: lifting(*order) for order in orders}

    def _derivative(self, coefficients: Array, i: int, j: int) -> Array:
        return self.basis[i] @ coefficients @ self.basis[j].T + self.lifting[i, j]

    def _test(self, values: Array, i: int, j: int) -> Array:
        return self.basis[i].T @ values @ self.basis[j]

    def _state(self, coefficients: Array) -> tuple[Array, Array, Array]:
        """psi_x, psi_y and lap psi at the nodes."""
        return (
            self._derivative(coefficients, 1, 0),
            self._derivative(coefficients, 0, 1),
            self._derivative(coefficients, 2, 0) + self._derivative(coefficients, 0, 2),
        )

    def residual(self, coefficients: Array, reynolds: float) -> Array:
        psi_x, psi_y, laplacian = self._state(coefficients)
        weighted = laplacian * self.weights
        return (
            self._test(weighted, 2, 0)
            + self._test(weighted, 0, 2)
            + reynolds * self._test(weighted * psi_y, 1, 0)
            - reynolds * self._test(weighted * psi_x, 0, 1)
        )

    def jacobian(self, coefficients: Array, reynolds: float) -> Array:
        """The derivative of `residual`, as a dense matrix of shape (modes^2, modes^2).

        All that keeps an integral from being separable is one coefficient, so it is summed over x
        first and over y in one matrix product.
        """
        weights, state = self.weights, self._state(coefficients)
        psi_x, psi_y, laplacian = (reynolds * weights * values for values in state)
        # (y order of test, y order of trial): [(x order of test, x order of trial, coefficient)]
        terms = {
            (0, 0): [(2, 2, weights), (1, 2, psi_y)],
            (0, 2): [(2, 0, weights), (1, 0, psi_y)],
            (2, 0): [(0, 2, weights)],
            (2, 2): [(0, 0, weights)],
            (1, 0): [(0, 2, -psi_x), (0, 1, -laplacian)],
            (1, 2): [(0, 0, -psi_x)],
            (0, 1): [(1, 0, laplacian)],
        }
        across = [self._pairs(*orders).T for orders in terms]
        along = [
            sum(self._pairs(test, trial).T @ coefficient for test, trial, coefficient in integrals)
            for integrals in terms.values()
        ]
        n = self.modes
        product = np.hstack(along) @ np.hstack(across).T
        return product.reshape(n, n, n, n).transpose(0, 2, 1, 3).reshape(n * n, n * n)

    def _pairs(self, test: int, trial: int) -> Array:
        """Products of all test and trial functions at the nodes: (nodes, modes^2)."""
        product = self.basis[test][:, :, None] * self.basis[trial][:, None, :]
        return product.reshape(self.nodes.size, -1)


def _continue(
    lid: Lid, reynolds: float, steps: list[float], start: Array, tolerance: float = 1e-10
) -> Array:
    """Newton's method at each Reynolds number of `steps`, the last of which is `reynolds`.

    A factorisation is kept for as long as it converges quickly. The singular corner flows need a
    finer quadrature than polynomials, but only in the residual.
    """
    modes = start.shape[0]
    accurate = _Galerkin(lid, reynolds, modes, nodes_per_mode=2.5)
    approximate = _Galerkin(lid, reynolds, modes, nodes_per_mode=1.5)
    coefficients = start
    for step_reynolds in steps:
        factors, previous = None, np.inf
        for _ in range(60):
            if factors is None:
                jacobian = approximate.jacobian(coefficients, step_reynolds)
                factors = lu_factor(jacobian, overwrite_a=True, check_finite=False)
            residual = accurate.residual(coefficients, step_reynolds)
            step = lu_solve(factors, residual.ravel(), check_finite=False)
            coefficients = coefficients - step.reshape(modes, modes)
            size = float(np.linalg.norm(step) / np.linalg.norm(coefficients))
            logger.debug("Re %g, %d modes: Newton step %.1e", step_reynolds, modes, size)
            if not size >= tolerance:
                break
            if size > 0.2 * previous or size > 1e-2:
                factors = None
            previous = size
        if not size < tolerance:
            raise RuntimeError(
                f"Newton's method does not converge at Re = {step_reynolds:g} with {modes} modes"
            )
    return coefficients


def _reynolds_ladder(reynolds: float) -> list[float]:
    """Reynolds numbers from the Stokes flow to `reynolds`, growing by factors of at most 2.5."""
    if reynolds <= 100:
        return [0.0, reynolds]
    steps = int(np.ceil(np.log(reynolds / 100) / np.log(2.5)))
    return [0.0, *np.geomspace(100.0, reynolds, steps + 1)]


@dataclass(frozen=True)
class Flow:
    """The converged flow; evaluates itself on any tensor grid."""

    reynolds: float
    lid: Lid
    coefficients: Array

    def derivative(self, x: Array, y: Array, i: int = 0, j: int = 0) -> Array:
        """d^(i+j) psi / dx^i dy^j on ``meshgrid(x, y, indexing="ij")``."""
        modes = self.coefficients.shape[0]
        smooth = _clamped(x, modes, i) @ self.coefficients @ _clamped(y, modes, j).T
        return smooth + _lifting(self.lid, self.reynolds, x[:, None], y[None, :])(i, j)

    def pressure(self, x: Array, y: Array) -> Array:
        """The pressure on ``meshgrid(x, y, indexing="ij")``, zero at the corner (0, 0)."""
        p = self._regular_pressure(x, y) + self._singular_pressure(x, y)
        origin = np.zeros(1)
        return p - self._regular_pressure(origin, origin) - self._singular_pressure(origin, origin)

    def _singular_pressure(self, x: Array, y: Array) -> Array:
        if self.lid == "regularised":
            return np.zeros((x.size, y.size))
        return _corner_pressure(x[:, None], y[None, :], self.reynolds)

    def _regular_pressure(self, x: Array, y: Array) -> Array:
        modes = self._pressure_coefficients.shape[0]
        return _legendre(x, modes, 0) @ self._pressure_coefficients @ _legendre(y, modes, 0).T

    @cached_property
    def _pressure_coefficients(self) -> Array:
        """Legendre coefficients of p less the pressure of the corner flows, from the weak form

        int grad p . grad q = int (lap u / Re - u . grad u) . grad q   for all polynomials q.
        """
        modes = self.coefficients.shape[0] + 4
        nodes, weights = legendre.leggauss(5 * modes // 2)
        nodes, weights = (nodes + 1) / 2, weights / 2
        force_x, force_y = self._force(nodes)
        q, q_x = (_legendre(nodes, modes, order) * weights[:, None] for order in (0, 1))
        load = q_x.T @ force_x @ q + q.T @ force_y @ q_x
        mass = np.diag(1 / (2.0 * np.arange(modes) + 1))
        stiffness = q_x.T @ _legendre(nodes, modes, 1)
        values, vectors = eigh(stiffness, mass)
        sums = values[:, None] + values[None, :]
        sums[0, 0] = np.inf
        return vectors @ ((vectors.T @ load @ vectors) / sums) @ vectors.T

    def _force(self, nodes: Array) -> tuple[Array, Array]:
        """The vector lap u / Re - u . grad u less the gradient of `_corner_pressure`."""
        x, y = nodes[:, None], nodes[None, :]
        left, right = _corner(x, y), _mirrored(x, y)

        def regular(i: int, j: int) -> Array:
            value = self.derivative(nodes, nodes, i, j)
            return value - left(i, j) - right(i, j) if self.lid == "constant" else value

        d = {
            (i, j): self.derivative(nodes, nodes, i, j)
            for i, j in [(1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]
        }
        viscous_x = (regular(2, 1) + regular(0, 3)) / self.reynolds
        viscous_y = -(regular(3, 0) + regular(1, 2)) / self.reynolds
        inertia_x = d[0, 1] * d[1, 1] - d[1, 0] * d[0, 2]
        inertia_y = d[1, 0] * d[1, 1] - d[0, 1] * d[2, 0]
        if self.lid == "constant":
            corner_x, corner_y = _corner_inertia(x, y)
            inertia_x, inertia_y = inertia_x + corner_x, inertia_y + corner_y
        return viscous_x - inertia_x, viscous_y - inertia_y


def solve_flow(reynolds: float, lid: Lid = "constant", modes: int = MODES) -> Flow:
    """Solve for the flow by continuation in Re with few modes, then with `modes` a side."""
    if lid not in ("constant", "regularised"):
        raise ValueError(f"lid is {lid!r}, expected 'constant' or 'regularised'")
    if not reynolds > 0:
        raise ValueError(f"reynolds is {reynolds!r}, expected a positive number")
    coarse = min(modes, CONTINUATION_MODES)
    start = np.zeros((coarse, coarse))
    coefficients = _continue(lid, reynolds, _reynolds_ladder(reynolds), start)
    if modes > coarse:
        padded = np.pad(coefficients, (0, modes - coarse))
        coefficients = _continue(lid, reynolds, [reynolds], padded)
    return Flow(reynolds, lid, coefficients)


def solve(
    reynolds: float, lid: Lid = "constant", points: int = 129, *, modes: int = MODES
) -> tuple[Array, Array, Fields]:
    """Return x (points,), y (points,) and the fields u, v, p, psi, each (points, points).

    The fields lie on ``meshgrid(x, y, indexing="ij")``. On the walls u, v and psi are exactly the
    boundary values; both ends of a constant lid belong to the lid. The pressure of a constant lid
    is infinite in both upper corners (negative left, positive right): there p is the mean of the
    two neighbours on the walls, so that norms stay finite.
    """
    flow = solve_flow(reynolds, lid, modes)
    x = np.linspace(0, 1, points)
    return x, x.copy(), sample(flow, x)


def sample(flow: Flow, x: Array) -> Fields:
    """The fields of `solve` on the tensor grid of `x`, which runs from 0 to 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = flow.derivative(x, x, 0, 1), -flow.derivative(x, x, 1, 0)
        p, psi = flow.pressure(x, x), flow.derivative(x, x)
    for field in (u, v, psi):
        field[[0, -1], :] = 0
        field[:, [0, -1]] = 0
    u[:, -1] = 1 if flow.lid == "constant" else 16 * x**2 * (1 - x) ** 2
    if flow.lid == "constant":
        p[0, -1] = (p[1, -1] + p[0, -2]) / 2
        p[-1, -1] = (p[-2, -1] + p[-1, -2]) / 2
    return {"u": u, "v": v, "p": p, "psi": psi}


def load(reynolds: float, lid: Lid = "constant") -> tuple[Array, Array, Fields]:
    """The shipped solution on 129 x 129 points if there is one; otherwise it is computed.

    The shipped values are rounded to multiples of 2^-17 (u, v), 2^-19 (p) and 2^-23 (psi).
    """
    path = data_file(reynolds, lid)
    if not path.is_file():
        logger.info(
            "no stored cavity flow for Re = %g with the %s lid: solving for it, which takes about "
            "half a minute",
            reynolds,
            lid,
        )
        return solve(reynolds, lid)
    with np.load(path) as stored:
        arrays = {name: stored[name].astype(np.float64) for name in stored.files}
    return arrays.pop("x"), arrays.pop("y"), arrays


def data_file(reynolds: float, lid: Lid = "constant") -> Path:
    suffix = "" if lid == "constant" else f"_{lid}"
    return DATA / f"cavity_re{reynolds:g}{suffix}.npz"
