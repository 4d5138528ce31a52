"""Signatures of attrs classes: the source that mkdocstrings reads does not write their `__init__`."""

from __future__ import annotations

from typing import Any

from griffe import Attribute, Class, Extension, Function, Parameter, ParameterKind, Parameters

MAKERS = {"attrs.frozen", "attrs.define"}


class AttrsSignatures(Extension):
    """The fields of an attrs class, in their order, as the parameters of its `__init__`."""

    def on_class_members(self, *, cls: Class, **_: Any) -> None:
        makers = [d for d in cls.decorators if d.callable_path in MAKERS]
        if not makers or "__init__" in cls.members:
            return
        named_only = "kw_only" in str(makers[0].value)
        kind = ParameterKind.keyword_only if named_only else ParameterKind.positional_or_keyword
        fields = [m for m in cls.members.values() if isinstance(m, Attribute) and _is_field(m)]
        given = [
            Parameter(f.name, annotation=f.annotation, kind=kind, default=_default(f))
            for f in fields
        ]
        receiver = Parameter("self", kind=ParameterKind.positional_or_keyword)
        init = Function("__init__", parameters=Parameters(receiver, *given), parent=cls)
        cls.set_member("__init__", init)


def _is_field(member: Attribute) -> bool:
    return member.annotation is not None and "instance-attribute" in member.labels


def _default(field: Attribute) -> Any:
    """The default that the source shows; None where `field(…)` says how the value is converted."""
    return None if str(field.value).startswith("field(") else field.value
