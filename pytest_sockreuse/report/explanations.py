"""``sockreuse explain`` as text and JSON."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence

from ..diagnosis import exhaustion
from ..diagnosis.inquiry import Answer, Question, answers_to
from ..diagnosis.question import changed_settings
from ..diagnosis.words import Row, text
from ..live.census import census
from ..platforms import current, knobs


def of(question: Question, as_json: bool) -> int:
    """Print the answers to a question; the exit status is 0 if all that was asked would succeed. Raises
    QuestionError."""
    answers = answers_to(question)
    if as_json:
        for one in answers:
            print(json.dumps(one.to_json()))
    else:
        print("\n\n".join(text(rows, _width()) for rows in _together(answers)))
    return 0 if all(one.ok for one in answers) else 1


def of_range(protocol: str, as_json: bool) -> int:
    """Print who has the range; the exit status is 0 if a port is left."""
    found = census(protocol)
    reliefs, left = exhaustion.of_range(found, protocol, current(), dict(changed_settings(current())))
    if as_json:
        told = {"reliefs": reliefs, "unseen": exhaustion.unseen(found)}
        print(json.dumps({"protocol": protocol, "ok": left, **exhaustion.to_json(found), **told}))
    else:
        rows = [*exhaustion.rows(found)]
        if current().stack == "linux" and "net.ipv4.ip_local_port_range" not in knobs("linux"):
            rows.append(("unseen", "the range itself, without /proc: this one is IANA's"))
        rows += [("unseen", what) for what in exhaustion.unseen(found)]
        rows += [("answer", "a port is left" if left else "no port is left")]
        print(text([*rows, *(("relief", relief) for relief in reliefs)], _width()))
    return 0 if left else 1


def _width() -> int:
    return max(40, shutil.get_terminal_size((110, 0)).columns)


def _together(answers: Sequence[Answer]) -> list[list[Row]]:
    """The rows of each answer; of those that are alike but for the address once, under all their calls."""
    found: dict[tuple[Row, ...], list[Row]] = {}
    for one in answers:
        call, *rest = one.rows()
        found.setdefault(tuple(rest), []).append(call)
    return [[*calls, *rest] for rest, calls in found.items()]
