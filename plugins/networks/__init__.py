"""Network architectures."""

from collections.abc import Sequence

from pinn.core import Network, hookimpl
from pinn.plugins.networks.mlp import MLP
from pinn.plugins.networks.modified_mlp import ModifiedMLP


@hookimpl
def pinn_networks() -> Sequence[type[Network]]:
    return [MLP, ModifiedMLP]
