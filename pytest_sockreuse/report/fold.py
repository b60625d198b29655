"""Ids of one case, said together as a shell's braces do: ``rule/case[{ip4,ip6}-none]``.

Pairs that have no simpler form stand side by side, in braces too: ``rule/case[{ip4-{none,ra},ip6-ra}]``.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import product

#: Characters of one id; ids that are said together are counted and measured before they are written out.
LONGEST = 200

_LETTER = "[A-Za-z0-9._-]"
_CHOICE = rf"\{{{_LETTER}++(?:,{_LETTER}++)++\}}"
_PRODUCT = rf"(?:{_LETTER}|{_CHOICE})++"  # possessive: a long text that is none is refused at once
_IDS = re.compile(rf"([a-z0-9-]+/[a-z0-9-]+)(?:\[(?:({_PRODUCT})|\{{({_PRODUCT}(?:,{_PRODUCT})++)\}})\])?", re.ASCII)

Values = tuple[str, ...]


def fold(case: str, variants: Iterable[Values]) -> str:
    """One text for variants of a case, each given by its axis values, all by the same axes."""
    products: set[tuple[Values, ...]] = {tuple((value,) for value in values) for values in variants}
    for axis in reversed(range(len(next(iter(products))))):
        alike: dict[tuple[Values, ...], set[str]] = defaultdict(set)
        for one in products:
            alike[one[:axis] + one[axis + 1 :]].update(one[axis])
        products = {(*rest[:axis], tuple(sorted(found)), *rest[axis:]) for rest, found in alike.items()}
    texts = sorted("-".join(map(_braced, one)) for one in products)
    return f"{case}[{_braced(texts)}]" if texts != [""] else case


def _braced(texts: Iterable[str]) -> str:
    first, *others = texts
    return f"{{{','.join([first, *others])}}}" if others else first


def unfold(text: str, most: int) -> list[str]:
    """The ids that a text says. Raises ValueError where it is none, or says more than `most`, or too long ones."""
    found = _IDS.fullmatch(text)
    if found is None:
        raise ValueError("not a line of a results file")
    case, one, several = found.groups()
    products = [_parts(text) for text in re.findall(_PRODUCT, one or several or "")]
    if (sum(math.prod(map(len, parts)) for parts in products) or 1) > most:
        raise ValueError("more results than a file may have")
    if max([len(case), *(len(case) + sum(max(map(len, part)) for part in parts) + 2 for parts in products)]) > LONGEST:
        raise ValueError(f"an id of more than {LONGEST} characters")
    return [f"{case}[{''.join(values)}]" for parts in products for values in product(*parts)] or [case]


def _parts(text: str) -> list[list[str]]:
    return [part.strip("{}").split(",") for part in re.findall(r"\{[^}]*\}|[^{]+", text)]
