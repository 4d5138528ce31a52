"""What a plugin may import, and how plugins are found."""

from pinn.core.discovery import offered as offered
from pinn.core.domain import Box as Box, Points as Points, Shape as Shape
from pinn.core.errors import (
    ConfigError as ConfigError,
    PinnError as PinnError,
    TrainingError as TrainingError,
    Unavailable as Unavailable,
)
from pinn.core.files import open_file as open_file
from pinn.core.hookspecs import hookimpl as hookimpl
from pinn.core.options import (
    above as above,
    at_least as at_least,
    between as between,
    choice as choice,
    fraction as fraction,
    option as option,
)
from pinn.core.parts import (
    Analyzer as Analyzer,
    Closure as Closure,
    Network as Network,
    Optimizer as Optimizer,
    Sampler as Sampler,
    Schedule as Schedule,
    Terms as Terms,
    Weighting as Weighting,
)
from pinn.core.plots import (
    Conclusion as Conclusion,
    Curves as Curves,
    Drawing as Drawing,
    Plot as Plot,
    Span as Span,
    ordered_colour as ordered_colour,
)
from pinn.core.problem import (
    Condition as Condition,
    Measurements as Measurements,
    Problem as Problem,
    Unknown as Unknown,
)
from pinn.core.records import Records as Records
from pinn.core.reference import Reference as Reference, Table as Table
from pinn.core.shapes import (
    Ball as Ball,
    Cloud as Cloud,
    Mesh as Mesh,
    Polygon as Polygon,
)
from pinn.core.view import BatchGradients as BatchGradients, View as View
