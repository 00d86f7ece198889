# Sourced by the other scripts.
# usage: source "$(dirname "$0")/lib.sh" && ensure_venv
#
# ensure_venv makes .venv and installs crishim into it, editable, with the dev dependencies. It does so again only when a
# file changed that the installation is made from; otherwise it costs a few milliseconds. PYTHON names the interpreter.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv
cd "$ROOT"

say() { echo "$@" >&2; }

ensure_venv() {
    local stamp=$VENV/installed.sha256 state
    state=$(installed_from)
    if [[ -x $VENV/bin/python && $(cat "$stamp" 2>/dev/null) == "$state" ]]; then
        return
    fi
    (
        # One at a time: two installations into one environment spoil it.
        flock 9
        if [[ $(cat "$stamp" 2>/dev/null) == "$state" ]] && "$VENV/bin/python" -c ''; then
            exit
        fi
        if ! "$VENV/bin/python" -c '' 2>/dev/null; then
            python=$(find_python)
            say "making $VENV"
            "$python" -m venv --clear "$VENV"
        fi
        say "installing crishim and its dev dependencies"
        "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
        echo "$state" >"$stamp"
    ) 9<"$ROOT"
}

# One line that changes with anything the installation depends on.
installed_from() {
    find pyproject.toml hatch_build.py proto -type f | LC_ALL=C sort | xargs sha256sum | sha256sum
}

find_python() {
    local python
    for python in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    say "crishim needs Python 3.11 or newer${PYTHON:+, and $PYTHON is not}; name one with PYTHON=..."
    return 1
}
