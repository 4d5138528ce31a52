"""What a run directory holds beside its configuration and its records, each file read strictly."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from pinn.core.errors import PinnError
from pinn.core.files import open_file, read_file
from pinn.core.options import Faults, refusal, structure
from pinn.core.tracebacks import one_line

LARGEST = 2**31
"""Bytes of the arrays in predictions.npz, at most."""


@frozen
class Summary:
    """summary.json: how a run ended.

    Attributes:
        final: what was recorded last, but for arrays.
        failures: of analyzers, by name.
        seconds: what training and each analyzer took.
        steps_per_second: None where nothing was trained.
        notes: what was said of problem, network and optimizers, a sentence each.
    """

    problem: str
    complete: bool
    steps: int
    parameters: int
    final: dict[str, float | str | None]
    failures: dict[str, list[str]]
    seconds: dict[str, float]
    steps_per_second: float | None = None
    notes: list[str] = field(factory=list)


@frozen
class Environment:
    """environment.json: what a run was made with.

    Attributes:
        versions: of libraries, None where one is not installed.
        plugins: the distribution of each part.
        sources: checksums of the modules of third parties.
    """

    python: str
    platform: str
    device: str
    versions: dict[str, str | None]
    plugins: dict[str, str]
    git_commit: str | None = None
    sources: dict[str, str] | None = None


def read_json(path: Path, within: Path, form: type[Any]) -> dict[str, Any]:
    """What a JSON file says that has the form of the class `form`; nothing where there is no file.

    Raises:
        PinnError: it cannot be read, or has another form.
    """
    content = read_file(path, within)
    if content is None:
        return {}
    try:
        found = json.loads(content.decode("utf-8"))
        if not isinstance(found, dict):
            raise ValueError(f"expected {{…}}, found {type(found).__name__}")
        structure(found, form)
    except Faults as error:
        key, first = error.faults[0]
        raise PinnError(f"{path}: {key}: {refusal(first) or one_line(first)}") from None
    except (ValueError, RecursionError) as error:
        raise PinnError(f"{path}: is not what a run writes: {one_line(error)}") from None
    return found


def read_arrays(path: Path, within: Path) -> Mapping[str, NDArray[Any]] | None:
    """The arrays of numbers in an .npz file; None where there is no file.

    Raises:
        PinnError: it cannot be read, or is no such file.
    """
    file = open_file(path, within)
    if file is None:
        return None
    try:
        with file:
            if sum(member.file_size for member in ZipFile(file).infolist()) > LARGEST:
                raise ValueError(f"its arrays take more than {LARGEST >> 30} GiB")
            file.seek(0)
            arrays = dict(np.load(file))
        for name, values in arrays.items():
            if values.dtype.kind != "f":
                raise ValueError(f"{name} holds {values.dtype}, not numbers")
        return arrays
    except Exception as error:  # a damaged archive fails in many ways
        raise PinnError(f"{path}: is not what a run writes: {one_line(error)}") from None
