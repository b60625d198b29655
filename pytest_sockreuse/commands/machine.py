"""Commands about this machine and its ports."""

from __future__ import annotations

import argparse
import json
import re

from ..arguments import UsageError
from ..platforms import describe

_OPTION = re.compile(r"[A-Z][A-Z0-9]*_[A-Z0-9_]+(=.*)?", re.ASCII)


def platform(arguments: argparse.Namespace) -> int:
    found = describe()
    if arguments.json:
        print(json.dumps(found))
        return 0
    settings = found.pop("knobs")
    for name, value in {**found, **settings}.items():
        print(f"{name:<36} {value}")
    return 0


def explain(arguments: argparse.Namespace) -> int:
    from ..diagnosis.inquiry import Question
    from ..diagnosis.trial import QuestionError
    from ..report import explanations

    user = getattr(arguments, "as")
    if _OPTION.fullmatch(arguments.address or ""):  # the address may stand behind, or not be given
        words = [*arguments.option, arguments.address]
        arguments.address = next((word for word in words if not _OPTION.fullmatch(word)), "")
        arguments.option = [word for word in words if word != arguments.address]
    if arguments.range:
        if arguments.address or arguments.option or arguments.connect or user:
            raise UsageError("--range asks about all ports that the OS chooses: it takes --udp and --json only")
        return explanations.of_range("udp" if arguments.udp else "tcp", arguments.json)
    if not arguments.address and not arguments.connect:
        raise UsageError("explain needs an address, such as 8080 or 127.0.0.1:8080, or --range")
    question = Question(arguments.address, tuple(arguments.option), arguments.udp, arguments.connect, user)
    try:
        return explanations.of(question, arguments.json)
    except QuestionError as error:
        raise UsageError(str(error)) from None


def hold(arguments: argparse.Namespace) -> int:
    from ..hold import HoldError, hold

    try:
        return hold(arguments.command, arguments.count, arguments.release)
    except HoldError as error:
        raise UsageError(str(error)) from None
