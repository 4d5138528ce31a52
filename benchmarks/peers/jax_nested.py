"""JAX: nested gradients of one point's function, vectorized over the points, as jaxpi does it.

Measured: one compiled update function (loss, gradient and `optax.adam` together, old parameters
donated), until its results are ready. The equations are written for a single point with `jax.grad`
of `jax.grad`, and `jax.vmap` carries them to all points. Derivatives for both coordinates come from
one reverse pass, because the compiler does not merge two; what repeats otherwise is left to it. The
cavity's third derivatives are those of the Laplacian of psi, as few as possible.
Compilation happens in `make_step`, so no call of the step contains it.

jaxpi: https://github.com/PredictiveIntelligenceLab/jaxpi
"""

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jax import Array, grad, vmap
from jax.numpy import pi

from .setting import LEARNING_RATE, Step, draw_parameters, draw_points

Parameters: TypeAlias = list[tuple[Array, Array]]
Scalar: TypeAlias = Array
Function: TypeAlias = Callable[[Parameters, Scalar, Scalar], Scalar]


def make_step(problem: str, points: int, seed: int = 0) -> Step:
    """One step of the problem on so many interior points."""
    batch = jax.tree.map(jnp.asarray, draw_points(problem, points, seed))
    parameters = [(jnp.asarray(w.T), jnp.asarray(b)) for w, b in draw_parameters(problem, seed)]
    optimizer = optax.adam(LEARNING_RATE)
    state = optimizer.init(parameters)
    loss_of = _LOSSES[problem]

    def update(parameters: Parameters, state: Any, batch: Any) -> tuple[Parameters, Any, Scalar]:
        loss, gradient = jax.value_and_grad(loss_of)(parameters, *batch)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(parameters, updates), state, loss

    compiled = jax.jit(update, donate_argnums=(0, 1)).lower(parameters, state, batch).compile()

    def step() -> float:
        nonlocal parameters, state
        parameters, state, loss = compiled(parameters, state, batch)
        jax.block_until_ready((parameters, state))  # type: ignore[no-untyped-call]
        return float(loss)

    return Step(step)


def _network(parameters: Parameters, *point: Scalar) -> Array:
    """All outputs at one point."""
    a = jnp.stack(point)
    for weight, bias in parameters[:-1]:
        a = jnp.tanh(a @ weight + bias)
    weight, bias = parameters[-1]
    return a @ weight + bias


def _first(parameters: Parameters, x: Scalar, y: Scalar) -> Scalar:
    """The first output, u or psi, at one point."""
    return _network(parameters, x, y)[0]


def _second(parameters: Parameters, x: Scalar, y: Scalar) -> Scalar:
    """The second output, p, at one point."""
    return _network(parameters, x, y)[1]


def _gradient(function: Function) -> Callable[..., tuple[Scalar, Scalar]]:
    """Both derivatives of a function of one point, from one reverse pass."""
    gradient: Callable[..., tuple[Scalar, Scalar]] = grad(function, argnums=(1, 2))
    return gradient


def _derivatives(function: Function) -> tuple[Function, Function]:
    """Each derivative of a function of one point, to be differentiated further."""
    return grad(function, argnums=1), grad(function, argnums=2)


def _over(function: Callable[..., Any], parameters: Parameters, points: Array) -> Any:
    """The function of one point at all points."""
    return vmap(function, (None, 0, 0))(parameters, points[:, 0], points[:, 1])


def _mean_square(*residuals: Array) -> Scalar:
    return sum((jnp.mean(residual**2) for residual in residuals), start=jnp.zeros(()))


def _allen_cahn(parameters: Parameters, interior: Array, conditions: dict[str, Array]) -> Scalar:
    u_x_at, _ = _derivatives(_first)

    def residual(parameters: Parameters, x: Scalar, t: Scalar) -> Scalar:
        u = _first(parameters, x, t)
        _, u_t = _gradient(_first)(parameters, x, t)
        u_xx, _ = _gradient(u_x_at)(parameters, x, t)
        return u_t - 1e-4 * u_xx + 5 * u**3 - 5 * u

    def initial(parameters: Parameters, x: Scalar, t: Scalar) -> Scalar:
        return _first(parameters, x, t) - x**2 * jnp.cos(pi * x)

    return _mean_square(_over(residual, parameters, interior)) + _mean_square(
        _over(initial, parameters, conditions["initial"])
    )


def _burgers(parameters: Parameters, interior: Array, conditions: dict[str, Array]) -> Scalar:
    u_x_at, _ = _derivatives(_first)

    def residual(parameters: Parameters, x: Scalar, t: Scalar) -> Scalar:
        u = _first(parameters, x, t)
        u_x, u_t = _gradient(_first)(parameters, x, t)
        u_xx, _ = _gradient(u_x_at)(parameters, x, t)
        return u_t + u * u_x - 0.01 / pi * u_xx

    def initial(parameters: Parameters, x: Scalar, t: Scalar) -> Scalar:
        return _first(parameters, x, t) + jnp.sin(pi * x)

    return (
        _mean_square(_over(residual, parameters, interior))
        + _mean_square(_over(initial, parameters, conditions["initial"]))
        + _mean_square(_over(_first, parameters, conditions["walls"]))
    )


def _helmholtz(parameters: Parameters, interior: Array, conditions: dict[str, Array]) -> Scalar:
    u_x_at, u_y_at = _derivatives(_first)

    def residual(parameters: Parameters, x: Scalar, y: Scalar) -> Scalar:
        u = _first(parameters, x, y)
        u_xx, _ = _gradient(u_x_at)(parameters, x, y)
        _, u_yy = _gradient(u_y_at)(parameters, x, y)
        q = (1 - 72 * pi**2) * jnp.sin(6 * pi * x) * jnp.sin(6 * pi * y)
        return u_xx + u_yy + u - q

    return _mean_square(_over(residual, parameters, interior)) + _mean_square(
        _over(_first, parameters, conditions["boundary"])
    )


def _cavity(parameters: Parameters, interior: Array, conditions: dict[str, Array]) -> Scalar:
    psi_x_at, psi_y_at = _derivatives(_first)

    def laplacian(parameters: Parameters, x: Scalar, y: Scalar) -> Scalar:
        psi_xx, _ = _gradient(psi_x_at)(parameters, x, y)
        _, psi_yy = _gradient(psi_y_at)(parameters, x, y)
        return psi_xx + psi_yy

    def velocity(parameters: Parameters, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
        psi_x, psi_y = _gradient(_first)(parameters, x, y)
        return psi_y, -psi_x

    def residuals(parameters: Parameters, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
        u, v = velocity(parameters, x, y)
        p_x, p_y = _gradient(_second)(parameters, x, y)
        psi_xx, psi_xy = _gradient(psi_x_at)(parameters, x, y)
        _, psi_yy = _gradient(psi_y_at)(parameters, x, y)
        laplacian_x, laplacian_y = _gradient(laplacian)(parameters, x, y)
        momentum_x = u * psi_xy + v * psi_yy + p_x - laplacian_y / 1000
        momentum_y = -u * psi_xx - v * psi_xy + p_y + laplacian_x / 1000
        return momentum_x, momentum_y

    u_lid, v_lid = _over(velocity, parameters, conditions["lid"])
    return (
        _mean_square(*_over(residuals, parameters, interior))
        + _mean_square(*_over(velocity, parameters, conditions["walls"]))
        + _mean_square(u_lid - 1, v_lid)
    )


_LOSSES: dict[str, Callable[..., Scalar]] = {
    "allen-cahn": _allen_cahn,
    "burgers": _burgers,
    "helmholtz": _helmholtz,
    "cavity": _cavity,
}
