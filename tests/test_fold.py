"""Ids of one case said together, and taken apart again."""

from __future__ import annotations

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shipped import shipped

from pytest_sockreuse.report.fold import fold, unfold

MANY = 100_000


@pytest.mark.parametrize(
    ("variants", "text"),
    [
        ([()], "a/b"),
        ([("x",)], "a/b[x]"),
        ([("ip6", "none"), ("ip4", "none")], "a/b[{ip4,ip6}-none]"),
        ([("ip4", "none"), ("ip4", "ra"), ("ip6", "ra")], "a/b[{ip4-{none,ra},ip6-ra}]"),
        (list(itertools.product("12", "34", "56")), "a/b[{1,2}-{3,4}-{5,6}]"),
    ],
)
def test_variants_are_said_as_a_shell_would_spell_them(variants: list[tuple[str, ...]], text: str) -> None:
    assert fold("a/b", variants) == text
    assert sorted(unfold(text, MANY)) == sorted(f"a/b[{'-'.join(v)}]" if v else "a/b" for v in variants)


@settings(derandomize=True, deadline=None, database=None)
@given(st.integers(1, 4).flatmap(lambda n: st.sets(st.tuples(*[st.sampled_from(["a", "b-c", "d.1"])] * n), min_size=1)))
def test_whatever_is_said_together_is_taken_apart_as_it_was(variants: set[tuple[str, ...]]) -> None:
    text = fold("a/b", variants)
    assert text == fold("a/b", sorted(variants))
    assert sorted(unfold(text, MANY)) == sorted(f"a/b[{'-'.join(values)}]" for values in variants)


def test_all_variants_of_each_case_are_one_product() -> None:
    for rule in shipped().rules.values():
        for case in rule.cases:
            text = fold(f"{case.rule}/{case.id}", [variant.values for variant in case.variants])
            assert sorted(unfold(text, MANY)) == sorted(variant.id for variant in case.variants)


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a/", "/b", "A/b", "a/b/c", "a/b[", "a/b]", "a/b[]", "a/b[c]d", "a/b[c][d]", "a/b[c,d]", "a/b[{}]",
        "a/b[{c}]", "a/b[{c,}]", "a/b[{,c}]", "a/b[{c,d]", "a/b[c,d}]", "a/b[{{c,d},e}]x",
        "a/b[{c,{d,{e,f}}}]", "a/b[ c]",
        "a/b[c]\n", "a/b[\u00e4]", "a/b[\u0661]",
    ],
)  # fmt: skip
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a line"):
        unfold(text, MANY)


@pytest.mark.parametrize(
    "text",
    [
        f"a/b[{'{a,b}' * 60}]",
        f"a/b[{'{a,b}' * 100_000}]",
        f"a/b[{{{','.join(['{a,b}' * 16] * 2)}}}]",
        f"a/{'b' * 1_000_000}",
        f"a/b[{'a' * 1_000_000}",
        f"a/b[{{{'a' * 1_000_000},",
        f"a/b[{'{a,b}' * 200_000}",
        f"a/b[{{{'{a,b},' * 200_000}!]",
    ],
    ids=range(8),
)
def test_no_text_becomes_more_than_it_may_or_takes_long(text: str) -> None:
    start = time.process_time()
    with pytest.raises(ValueError, match=r"not a line|more results|an id of more"):
        unfold(text, MANY)
    assert time.process_time() - start < 2
