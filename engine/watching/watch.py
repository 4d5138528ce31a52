"""`pinn.engine.watch`: the analyzers for people who train elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer

from pinn.core.domain import Box
from pinn.core.errors import PinnError
from pinn.core.view import Forward
from pinn.engine.configuration.directory import RunDirectory
from pinn.engine.configuration.watched import Watched, WatchedOptions
from pinn.engine.training.build import device_name
from pinn.engine.training.progress import Reporter, for_terminal
from pinn.engine.training.undisturbed import undisturbed
from pinn.engine.watching.loop import Sources, WatchedLoop
from pinn.engine.watching.losses import PointLosses
from pinn.engine.watching.selection import Asked, asked_for, installed_ones
from pinn.engine.watching.solution import KnownSolution, WatchedProblem, field_names, outputs
from pinn.engine.watching.watcher import Watcher


def watch(
    directory: str | Path,
    model: nn.Module,
    optimizer: Optimizer,
    *,
    points: Any,
    residuals: Callable[[Tensor], Any] | None = None,
    losses: Callable[[Tensor], Any] | None = None,
    conditions: Callable[[], Tensor] | None = None,
    weights: Any = None,
    solution: Mapping[str, Any] | None = None,
    fields: Sequence[str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    forward: Forward | None = None,
    analyzers: Asked | None = None,
    name: str | None = None,
    framework: str | None = None,
    steps: int | None = None,
    record: int = 100,
    start: int | None = None,
    overwrite: bool = False,
    seed: int = 0,
    progress: bool = False,
    reporter: Reporter | None = None,
) -> Watcher:
    """Measure how a network learns in a training loop of one's own.

    >>> with watch("runs/bare", model, optimizer, residuals=residuals, points=points) as watcher:
    ...     for _ in range(10_000):
    ...         optimizer.zero_grad(); loss = …; loss.backward(); optimizer.step()
    ...         watcher.step(loss)

    Nothing of the training changes: it is bitwise the same without the watcher.

    Args:
        directory: of the run; `pinn report` and `pinn compare` take it like any other.
        model: whose parameters are trained.
        optimizer: that trains them.
        points: (n, dimension), or a function that gives the current ones.
        residuals: points → residuals (n,), (equations, n) or {name: (n,)}, written with
            torch.autograd.grad or otherwise; it is called with batches of the points.
        losses: in place of `residuals`: points → losses of single points, at least 0.
        conditions: → the rest of the loss, a scalar.
        weights: λ of loss = mean((λ r)²), (n,) or (equations, n), or a function that gives the current
            ones; 1 if left out.
        solution: {field: function of points, or array (n,) at the points}, for the error.
        fields: names of the outputs of the model; those of the solution if left out.
        bounds: {coordinate: (low, high)}; the extent of the points if left out.
        forward: points (n, dimension) → outputs (n, fields), for a model that is called otherwise.
        analyzers: names, or tables as under [[analyzers]]; all that can measure here if left out.
        name: what reports call the loop; that of the directory if left out.
        framework: the distribution that trains, such as "deepxde"; its version is written down.
        steps: that the loop is going to make, if that is known.
        record: steps between records of the loss.
        start: steps done before, of a loop that was resumed: what was recorded later is forgotten.
        overwrite: replace what was watched in this directory before.
        seed: of the random numbers that analyzers draw.
        progress: show it, which needs `steps`.
        reporter: shows it in another way.

    Raises:
        PinnError: what is given does not fit together; the directory holds a run.
        ConfigError: an analyzer is unknown, or needs what is not given.
    """
    place = RunDirectory(Path(directory).expanduser())
    _check_directory(place, start, overwrite)
    if (residuals is None) == (losses is None):
        raise PinnError("pass either residuals= or losses=, a function of points")
    if losses is not None and weights is not None:
        raise PinnError("weights= belongs to residuals=; losses= has its weights in it")
    if progress and steps is None:
        raise PinnError("progress=True needs steps=, the number that the loop is going to make")
    if record < 1 or (start or 0) < 0:
        raise PinnError(f"record= is {record} and start= is {start}; expected at least 1 and 0")
    function = residuals or losses
    assert function is not None
    seen = PointLosses(model, function, losses is not None, conditions)
    if not seen.parameter_names:
        raise PinnError(
            "the model has no parameters that require gradients: nothing can be measured"
        )
    sources = Sources(points, weights, seen.parameters[0])
    first = sources.current_points()
    if sources.points_move and any(not callable(known) for known in (solution or {}).values()):
        raise PinnError("solution= as an array belongs to fixed points: pass a function of points")
    box = _box(first, bounds)
    with undisturbed(model):
        equations = seen.check(first)
        width = outputs(forward or model, first).shape[1]
    problem = WatchedProblem(
        name or place.path.resolve().name, tuple(field_names(width, fields, solution or {})), box
    )
    known = KnownSolution(problem, forward or model, first, solution or {})
    known.check()
    loop = WatchedLoop(problem, seen, equations, sources, known, forward, seed)
    with undisturbed(model):
        view = loop.view(start or 0, optimizer, {}, place.records())
        if analyzers is None:
            observers, lacking = installed_ones(view, known)
        else:
            observers, lacking = asked_for(analyzers, view, known), []
    options = WatchedOptions(
        name=problem.name,
        framework=framework,
        optimizer=type(optimizer).__name__,
        parameters=sum(p.numel() for p in seen.parameters),
        points=len(first),
        coordinates=list(box.names),
        device=device_name(first.device),
        precision=str(first.dtype).removeprefix("torch."),
        record=record,
        steps=steps,
    )
    told = reporter or (for_terminal() if progress else Reporter())
    watched = Watched(options, observers)
    watcher = Watcher(loop, watched, optimizer, place, start or 0, overwrite, told)
    for lack in lacking:
        told.note(f"not measured: {lack}")
    return watcher


def _box(points: Tensor, bounds: Mapping[str, tuple[float, float]] | None) -> Box:
    """The bounds, or the extent of the points."""
    dimension = points.shape[1]
    if bounds is None:
        names = ["x"] if dimension == 1 else [f"x{i + 1}" for i in range(dimension)]
        ends = zip(points.min(0).values.tolist(), points.max(0).values.tolist(), strict=True)
        bounds = dict(zip(names, ends, strict=True))
        flat = [name for name, (low, high) in bounds.items() if not low < high]
        if flat:
            raise PinnError(
                f"all points have the same {flat[0]}, so that the domain is not known: pass "
                "bounds={…: (low, high)}"
            )
    if len(bounds) != dimension:
        raise PinnError(
            f"bounds= names {len(bounds)} coordinates ({', '.join(bounds)}); points have {dimension}"
        )
    return Box(**bounds)


def _check_directory(place: RunDirectory, start: int | None, overwrite: bool) -> None:
    """What is there may be continued or replaced, but by name only."""
    if place.config.exists() and not place.watched:
        raise PinnError(
            f"{place.path}: holds a run that `pinn run` trained; choose another directory"
        )
    if place.metrics.exists() and start is None and not overwrite:
        raise PinnError(
            f"{place.path}: something was watched there already; pass start=, the number of steps done, "
            "to continue it, overwrite=True to replace it, or choose another directory"
        )
