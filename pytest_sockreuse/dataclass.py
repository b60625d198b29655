"""`dataclass` as the standard library's, made in a fourth of the time: its methods there are compiled one by one.

A run that only records would spend more on these than on anything else. What a class does is the same.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(cls: Any = None, /, *, frozen: bool = False, eq: bool = True, slots: bool = False) -> Any:
        def make(cls: Any) -> Any:
            own = vars(cls)
            if "__post_init__" in own or any(map(dataclasses.is_dataclass, cls.__bases__)):
                return dataclasses.dataclass(frozen=frozen, eq=eq, slots=slots)(cls)
            made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
            made.__dataclass_params__.frozen = frozen
            methods = {"__init__": _initializer(made, frozen), "__repr__": _repr}
            if eq:
                methods |= _equality(made, frozen)
            if frozen:
                methods |= {"__setattr__": _forbidden, "__delattr__": _forbidden}
            if frozen and slots:
                methods |= {"__getstate__": _values, "__setstate__": _restore}
            for name, method in methods.items():
                if own.get(name) is None:
                    setattr(made, name, method)
            return made

        return make if cls is None else make(cls)


_EMPTY: dict[Any, str] = {dict: "{}", list: "[]"}


def _initializer(cls: Any, frozen: bool) -> Any:
    """The method that gives each field its value, by position or name, else by default."""
    known: dict[str, Any] = {"_set": object.__setattr__, "_missing": dataclasses.MISSING}
    parameters, body = ["self"], []
    for field in dataclasses.fields(cls):
        name = value = field.name
        default = ""
        if field.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"], default = field.default_factory, "=_missing"
            made = _EMPTY.get(field.default_factory, f"_make_{name}()")
            value = f"{made} if {name} is _missing else {name}"
        elif field.default is not dataclasses.MISSING:
            known[f"_default_{name}"], default = field.default, f"=_default_{name}"
        parameters.append(name + default)
        body.append(f"_set(self, {name!r}, {value})" if frozen else f"self.{name} = {value}")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(body or ["pass"]), known)
    return known["__init__"]


def _equality(cls: Any, frozen: bool) -> dict[str, Any]:
    names = [field.name for field in dataclasses.fields(cls)]
    get: Any = attrgetter(*names) if names else lambda _: ()
    values = get if len(names) != 1 else lambda it: (get(it),)

    def equal(self: Any, other: Any) -> Any:
        return values(self) == values(other) if other.__class__ is self.__class__ else NotImplemented

    return {"__eq__": equal, "__hash__": (lambda self: hash(values(self))) if frozen else None}


@recursive_repr()
def _repr(self: Any) -> str:
    fields = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self))
    return f"{type(self).__qualname__}({', '.join(fields)})"


def _forbidden(self: Any, name: str, *value: Any) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot {'assign to' if value else 'delete'} field {name!r}")


def _values(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _restore(self: Any, values: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), values, strict=True):
        object.__setattr__(self, field.name, value)
