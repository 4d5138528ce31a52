"""Network architectures."""

from collections.abc import Sequence

from pinn.core import Network, hookimpl
from pinn.plugins.networks.mlp import MLP
from pinn.plugins.networks.modified_mlp import ModifiedMLP
from pinn.plugins.networks.pirate_net import PirateNet


@hookimpl
def pinn_networks() -> Sequence[type[Network]]:
    return [MLP, ModifiedMLP, PirateNet]
