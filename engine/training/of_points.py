"""What depends on the points alone, computed once for as long as the points are the same.

Source terms, factors of an ansatz and their derivatives are the same at every step until points are
drawn anew; in a traced graph they can be told from what depends on the parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from attrs import define, field
from torch import Tensor
from torch.fx import Graph, GraphModule, Node

Key = tuple[tuple[Any, ...], ...]


def split(traced: GraphModule, fixed: Sequence[bool]) -> tuple[GraphModule, GraphModule]:
    """Two graphs of the same inputs: what depends on the fixed ones alone, and the rest, which takes the
    results of the first after its own inputs.

    The first is empty where a node draws random numbers or writes in place.
    """
    graph = traced.graph
    inputs = [node for node in graph.nodes if node.op == "placeholder"]
    rest = {node for node, stays in zip(inputs, fixed, strict=True) if not stays}
    alone: dict[Node, None] = {}
    pure = not any(map(_impure, graph.nodes))
    for node in graph.nodes:
        if pure and node.op == "call_function" and rest.isdisjoint(node.all_input_nodes):
            alone[node] = None
        elif node.op not in ("placeholder", "get_attr"):
            rest.add(node)
    handed = [node for node in alone if not rest.isdisjoint(node.users)]

    first, here = _of_inputs(graph)
    for node in alone:
        here[node] = first.node_copy(node, here.__getitem__)
    first.output(tuple(here[node] for node in handed))

    second, there = _of_inputs(graph)
    for place, node in enumerate(handed):
        there[node] = second.placeholder(f"of_points_{place}")
    for node in graph.nodes:
        if node in rest and node not in there:
            there[node] = second.node_copy(node, there.__getitem__)
    return GraphModule(traced, first), GraphModule(traced, second)


def _of_inputs(graph: Graph) -> tuple[Graph, dict[Node, Node]]:
    """A graph of the same inputs and constants, and where in it they are."""
    copy = Graph()
    given = [node for node in graph.nodes if node.op in ("placeholder", "get_attr")]
    return copy, {node: copy.node_copy(node) for node in given}


def _impure(node: Node) -> bool:
    if not isinstance(node.target, torch._ops.OpOverload):
        return False
    random = torch.Tag.nondeterministic_seeded in node.target.tags
    return random or node.target._schema.is_mutable


@define(eq=False)
class Kept:
    """A function of tensors that remembers what it found for the tensors it was given last.

    Slices of one tensor are remembered together, until it is another one. What is remembered holds the
    points, so that no other tensor comes to lie where they are.
    """

    function: Callable[..., tuple[Tensor, ...]]
    _found: dict[Key, tuple[Sequence[Tensor], tuple[Tensor, ...]]] = field(factory=dict, init=False)

    def __call__(self, points: Sequence[Tensor], arguments: Sequence[Tensor]) -> tuple[Tensor, ...]:
        key = tuple((p.data_ptr(), p.shape, p.stride(), p._version) for p in points)
        if key not in self._found:
            storages = _storages(points)
            if any(_storages(held) != storages for held, _ in self._found.values()):
                self._found.clear()
            self._found[key] = points, self.function(*arguments)
        return self._found[key][1]


def _storages(points: Sequence[Tensor]) -> list[Any]:
    return [point.untyped_storage().data_ptr() for point in points]
