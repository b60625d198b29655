#!/bin/sh
# In a virtual machine: perform leg/suite.scenario, leave leg/answers.jsonl; or, by pytest, leg/LEG.jsonl.
# usage: machine.sh LEG BY, where BY is runner, machine or pytest. Five hours are kept, so that what was answered comes back.
set -eu

become=
if [ "$(id -u)" != 0 ]; then become=sudo; fi
bound=
if command -v timeout >/dev/null; then bound='timeout 18000'; fi

case $2 in
pytest) # only FreeBSD's packages are known here
    $become pkg install -y python3
    python3 -m venv leg/venv
    leg/venv/bin/pip install -q dist/*.whl # psutil is compiled
    exec $bound leg/venv/bin/python -m pytest -q -p no:cacheprovider --sockreuse --sockreuse-only \
        --sockreuse-report "leg/$1.jsonl"
    ;;
machine) options=-m ;;
*) options= ;;
esac

libraries=
if [ "$(uname)" = SunOS ]; then libraries='-lsocket -lnsl'; fi
for cc in cc gcc clang /opt/gcc-*/bin/gcc; do
    if command -v "$cc" >/dev/null; then break; fi
done
# shellcheck disable=SC2086 # words
"$cc" -std=c99 -O2 -o leg/runner source/conformance/lab/runner.c $libraries
# shellcheck disable=SC2086
$become $bound leg/runner $options <leg/suite.scenario >leg/answers.jsonl
