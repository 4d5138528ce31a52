"""Numbers in a traced graph as inputs of it, so that graphs that differ in them alone compile once.

A viscosity, a Reynolds number or a weight is a number in the graph. As long as it stands there, every
value of it is another graph: each run of a sweep, and each stage with an option of its own, would wait
for the compiler. The numbers of the formulas around it, 2 and 1/6, are seldom those of an option.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

LINEAR = (
    torch.ops.aten.add.Tensor,
    torch.ops.aten.sub.Tensor,
    torch.ops.aten.mul.Tensor,
    torch.ops.aten.div.Tensor,
)
"""What treats a number and a tensor that holds it alike."""

OF_FORMULAS = 24
"""Multiples of 1/4! up to 4!, as Taylor coefficients have them, stay: known numbers are faster."""


def lifted(graph: GraphModule) -> tuple[GraphModule, list[Tensor]]:
    """The graph with inputs for its numbers after its own, and what they are, tensors of no dimension.

    Every result is the same to the last digit: a number is taken to the precision of the tensor that it
    meets, as before.
    """
    nodes = graph.graph.nodes
    last = [node for node in nodes if node.op == "placeholder"][-1]
    found: dict[tuple[float, torch.dtype, torch.device], tuple[Node, Tensor]] = {}
    for node in nodes:
        if not _takes_a_number(node):
            continue
        tensor, number = node.args
        like = tensor.meta["val"]
        # Without dimensions both would have a say in the precision of the result.
        dtype = torch.float64 if like.ndim else like.dtype
        key = number, dtype, like.device
        if key not in found:
            with graph.graph.inserting_after(last):
                last = graph.graph.placeholder(f"number_{len(found)}")
            found[key] = last, torch.tensor(number, dtype=dtype, device=like.device)
        node.args = tensor, found[key][0]
    graph.recompile()
    return graph, [value for _, value in found.values()]


def _takes_a_number(node: Node) -> bool:
    if node.target not in LINEAR or len(node.args) != 2:
        return False
    tensor, number = node.args
    return (
        isinstance(number, float)
        and not _of_a_formula(number)
        and isinstance(tensor, Node)
        and tensor.meta["val"].dtype.is_floating_point
    )


def _of_a_formula(number: float) -> bool:
    return abs(number) <= OF_FORMULAS and (OF_FORMULAS * number).is_integer()
