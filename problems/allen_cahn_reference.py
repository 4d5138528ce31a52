"""Reference solution of the Allen-Cahn equation: Fourier in x, exponential integrator in t.

    u_t = diffusivity u_xx - reaction (u^3 - u),   x in [-1, 1] periodic,   t in [0, 1],
    u(x, 0) = x^2 cos(pi x).

The continued initial datum has a kink at x = +-1 (slope -2 on one side, +2 on the other), so its
Fourier coefficients fall only like k^-2 and interpolating it on a grid would alias. The solver
starts from the exact coefficients instead; diffusion removes the kink from t > 0 on.

Accuracy at the defaults (4096 internal points, 1000 steps): 1.1e-11 in the relative L2 norm over
the 512 x 201 output grid and 1.6e-10 at its worst point, against 8192 points and 8000 steps.
Refining one of the two at a time, the other kept at its finest, gave these relative errors:

    points   512: 2.8e-6   1024: 2.2e-7   1536: 1.8e-8   2048: 9.4e-10   4096: 2.0e-14
    steps   1000: 1.1e-11  2000: 7.8e-13  4000: 1.4e-12 (rounding)

The largest error is always that of the kink at the first output time. A solve takes about half a
second.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Modes = NDArray[np.complex128]


def solve(
    diffusivity: float = 1e-4,
    reaction: float = 5.0,
    points: int = 512,
    times: int = 201,
    *,
    resolution: int = 4096,
    steps: int = 1000,
) -> tuple[Array, Array, Array]:
    """Return x (points,) on [-1, 1), t (times,) on [0, 1] and u (points, times).

    `resolution` and `steps` are lower bounds of the internal grid points and time steps: each is
    rounded up to a multiple of the output grid.

    Method: Fourier pseudo-spectral in x; fourth-order exponential Runge-Kutta (ETDRK4) in t with
    the coefficients as contour integrals, A.-K. Kassam and L. N. Trefethen, SIAM J. Sci. Comput. 26
    (2005) 1214.
    """
    if points < 2 or times < 2:
        raise ValueError(f"points and times must be at least 2, not {points} and {times}")
    refinement = ceil(resolution / points)
    substeps = ceil(steps / (times - 1))
    size = refinement * points
    step = 1.0 / (substeps * (times - 1))
    frequencies = np.arange(size // 2 + 1)
    linear = np.asarray(reaction - diffusivity * (np.pi * frequencies) ** 2, np.float64)
    integrator = _ETDRK4(linear, reaction, size, step)

    x = np.linspace(-1, 1, points, endpoint=False)
    u = np.empty((points, times))
    u[:, 0] = x**2 * np.cos(np.pi * x)
    spectrum = _initial_spectrum(frequencies) * size
    for column in range(1, times):
        for _ in range(substeps):
            spectrum = integrator.advance(spectrum)
        u[:, column] = np.fft.irfft(spectrum, size)[::refinement]
    return x, np.linspace(0, 1, times), u


def _initial_spectrum(k: NDArray[np.int64]) -> Modes:
    """Fourier coefficients of x^2 cos(pi x) on [-1, 1), with the origin of the grid at x = -1.

    Those of x^2 are 1/3 and 2 (-1)^k / (pi k)^2, and the cosine averages both neighbours.
    """

    def square(k: NDArray[np.int64]) -> Array:
        nonzero = np.where(k == 0, 1, k)
        return np.where(k == 0, 1 / 3, 2 * (-1.0) ** k / (np.pi * nonzero) ** 2)

    shift = (-1.0) ** k
    return (shift * (square(k - 1) + square(k + 1)) / 2).astype(np.complex128)


class _ETDRK4:
    """One step of v' = linear v - reaction F(u^3) for the Fourier coefficients v = F(u)."""

    def __init__(self, linear: Array, reaction: float, size: int, step: float) -> None:
        self.reaction = reaction
        self.size = size
        self.full = np.exp(step * linear)
        self.half = np.exp(step * linear / 2)
        # The mean over a circle around each z = step * linear avoids the cancellation near z = 0.
        circle = np.exp(1j * np.pi * (np.arange(1, 33) - 0.5) / 32)
        z = step * linear[:, None] + circle
        e = np.exp(z)

        def mean(values: Modes) -> Array:
            return np.asarray(step * np.real(values.mean(axis=1)), np.float64)

        self.stage = mean((np.exp(z / 2) - 1) / z)
        self.first = mean((-4 - z + e * (4 - 3 * z + z**2)) / z**3)
        self.middle = mean((2 + z + e * (z - 2)) / z**3)
        self.last = mean((-4 - 3 * z - z**2 + e * (4 - z)) / z**3)

    def _nonlinear(self, v: Modes) -> Modes:
        return -self.reaction * np.fft.rfft(np.fft.irfft(v, self.size) ** 3)

    def advance(self, v: Modes) -> Modes:
        at_start = self._nonlinear(v)
        a = self.half * v + self.stage * at_start
        at_a = self._nonlinear(a)
        b = self.half * v + self.stage * at_a
        at_b = self._nonlinear(b)
        c = self.half * a + self.stage * (2 * at_b - at_start)
        at_c = self._nonlinear(c)
        return (
            self.full * v
            + self.first * at_start
            + 2 * self.middle * (at_a + at_b)
            + self.last * at_c
        )
