"""A pinn.toml trained, measured, drawn: the names to run it with, each loaded at its first use."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
