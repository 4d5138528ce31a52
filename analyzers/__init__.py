"""The built-in analyzers: what they measure as pure functions, and the parts that feed them."""

from collections.abc import Sequence

from pinn.analyzers.error import Error
from pinn.analyzers.snr import SignalToNoise
from pinn.core import Analyzer, hookimpl


@hookimpl
def pinn_analyzers() -> Sequence[type[Analyzer]]:
    return [Error, SignalToNoise]
