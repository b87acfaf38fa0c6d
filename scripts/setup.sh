#!/bin/sh
# Sets up what the Makefile's targets need; `setup.sh browser` adds the browser that the tests drive.
# As root a missing system package is installed, otherwise it is named.
set -eu

install_package() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get install -y -q --no-install-recommends "$@" ||
            { apt-get update -q && apt-get install -y -q --no-install-recommends "$@"; }
    else
        echo "metagan needs the system package $*; install it, then run make again" >&2
        exit 1
    fi
}

if [ "${1:-}" = browser ]; then
    # Any of scripts/browser.py's will do. The shell, which has no windows, takes 0.6 times chromium's processor time.
    if command -v chromium-headless-shell >/dev/null; then :
    elif [ "$(id -u)" != 0 ] && command -v chromium >/dev/null; then :
    else install_package chromium-headless-shell fonts-dejavu-core || install_package chromium fonts-dejavu-core
    fi
    # A Vulkan driver that computes on the processor: with it the shaders are tested in half precision, too.
    ls /usr/share/vulkan/icd.d/lvp_icd.*.json >/dev/null 2>&1 || (install_package mesa-vulkan-drivers) ||
        echo "some tests of shaders will be skipped" >&2
    exit 0
fi

"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "metagan needs Python 3.11 or newer; PYTHON=/path/to/python3.11 make ... chooses one" >&2; exit 1; }
"$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || install_package python3-venv

[ -x "$VENV/bin/python" ] || "$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "$TORCH"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[dev]"
