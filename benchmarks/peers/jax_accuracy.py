"""The error that minutes buy with JAX: optax's Adam, then its L-BFGS, everything jitted.

    python -m benchmarks.peers.jax_accuracy helmholtz-1-4 burgers --minutes 3

Nested gradients of one point's function, vectorized over the points, as jaxpi does it. Float64, hard
conditions, layers, activation and number of points as in `configs/fast/`, Glorot normal weights. Adam,
rate 1e-3, on points drawn anew every 100 iterations; then L-BFGS (100 corrections, zoom line search) on
points that stay for 1,000, 50 iterations in one compiled loop.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

os.environ["JAX_ENABLE_X64"] = "1"  # read when JAX is imported
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, grad, lax, vmap
from jax.numpy import pi

from benchmarks.accuracy import Curve
from benchmarks.peers.errors import SIZES, Clock, Size, measure

NU, DIFFUSION = 0.01 / pi, 1e-4
AT_ONCE, ADAM_POINTS, LBFGS_POINTS = 50, 100, 1000
"""Iterations of one call, and between new points."""

Function = Callable[..., Array]


def helmholtz(a1: int, a2: int) -> Callable[[Function], Function]:
    def law(network: Function) -> Function:
        def u(w: Any, x: Array, y: Array) -> Array:
            return (1 - x**2) * (1 - y**2) * network(w, x, y)

        def residual(w: Any, x: Array, y: Array) -> Array:
            bump = jnp.sin(a1 * pi * x) * jnp.sin(a2 * pi * y)
            source = (1 - (a1 * pi) ** 2 - (a2 * pi) ** 2) * bump
            u_xx, u_yy = grad(grad(u, 1), 1)(w, x, y), grad(grad(u, 2), 2)(w, x, y)
            return u_xx + u_yy + u(w, x, y) - source

        residual.u = u  # type: ignore[attr-defined]
        return residual

    return law


def burgers(network: Function) -> Function:
    def u(w: Any, x: Array, t: Array) -> Array:
        return -jnp.sin(pi * x) + t * (1 - x**2) * network(w, x, t)

    def residual(w: Any, x: Array, t: Array) -> Array:
        u_x, u_t = grad(u, (1, 2))(w, x, t)
        return u_t + u(w, x, t) * u_x - NU * grad(grad(u, 1), 1)(w, x, t)

    residual.u = u  # type: ignore[attr-defined]
    return residual


def allen_cahn(network: Function) -> Function:
    def u(w: Any, x: Array, t: Array) -> Array:
        return x**2 * jnp.cos(pi * x) + t * (1 - x**2) * network(w, x, t)

    def residual(w: Any, x: Array, t: Array) -> Array:
        u_t, u_xx = grad(u, 2)(w, x, t), grad(grad(u, 1), 1)(w, x, t)
        return u_t - DIFFUSION * u_xx - 5 * (u(w, x, t) - u(w, x, t) ** 3)

    residual.u = u  # type: ignore[attr-defined]
    return residual


LAWS = {
    "helmholtz-1-4": helmholtz(1, 4),
    "helmholtz-6-6": helmholtz(6, 6),
    "burgers": burgers,
    "allen-cahn": allen_cahn,
}


def network_of(size: Size) -> Function:
    act = {"sin": jnp.sin, "tanh": jnp.tanh}[size.activation]
    low, high = np.array(size.lower), np.array(size.upper)

    def network(weights: Any, *point: Array) -> Array:
        a = 2 * (jnp.stack(point) - low) / (high - low) - 1
        for w, b in weights[:-1]:
            a = act(a @ w + b)
        w, b = weights[-1]
        return (a @ w + b)[0]

    return network


def start(size: Size, generator: np.random.Generator) -> Any:
    pairs = zip(size.layers[:-1], size.layers[1:], strict=True)
    return [
        (jnp.asarray(generator.normal(0, (2 / (i + o)) ** 0.5, (i, o))), jnp.zeros(o))
        for i, o in pairs
    ]


def train(problem: str, adam: int, seed: int, minutes: float) -> Curve:
    size, clock = SIZES[problem], Clock(problem, minutes)
    generator = np.random.default_rng(seed)
    residual = LAWS[problem](network_of(size))
    weights = start(size, generator)
    at = jax.jit(vmap(residual.u, (None, 0, 0)))  # type: ignore[attr-defined]

    def loss(w: Any, points: Array) -> Array:
        return jnp.mean(vmap(residual, (None, 0, 0))(w, *points) ** 2)

    def points() -> Array:
        drawn = generator.uniform(size.lower, size.upper, (size.points, 2))
        return jnp.asarray(drawn.T)

    def several(optimizer: Any, slope_of: Function) -> Function:
        """AT_ONCE iterations in one compiled call."""
        optimizer = optax.with_extra_args_support(optimizer)

        def one(_: Any, carried: Any) -> Any:
            w, state, at_points = carried
            value, slope = slope_of(w, state, at_points)
            more = {"value": value, "grad": slope, "value_fn": lambda w: loss(w, at_points)}
            updates, state = optimizer.update(slope, state, w, **more)
            return optax.apply_updates(w, updates), state, at_points

        return jax.jit(lambda carried: lax.fori_loop(0, AT_ONCE, one, carried))

    def anew(w: Any, state: Any, at_points: Array) -> Any:
        return jax.value_and_grad(loss)(w, at_points)

    def known(w: Any, state: Any, at_points: Array) -> Any:
        """As the line search left it, where it did."""
        return optax.value_and_grad_from_state(lambda w: loss(w, at_points))(w, state=state)

    def predict(places: Any) -> Array:
        return at(weights, *jnp.asarray(places.T))

    first, second = optax.adam(1e-3), optax.lbfgs(memory_size=100)
    stages = (first, anew, ADAM_POINTS, adam), (second, known, LBFGS_POINTS, 10**9)
    done = 0
    for optimizer, slope_of, renewed, last in stages:
        advance, state, drawn = several(optimizer, slope_of), optimizer.init(weights), points()
        while done < last and not clock.over:
            weights, state, drawn = jax.block_until_ready(advance((weights, state, drawn)))
            done += AT_ONCE
            clock.look(done, predict)
            if done % renewed == 0:
                drawn = points()
                state = state if optimizer is first else optimizer.init(weights)
    return clock.curve


if __name__ == "__main__":
    measure({"JAX, L-BFGS": train}, adam=1000)
