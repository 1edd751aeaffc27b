#!/usr/bin/env bash
# Sets up what a target needs, and says in one line what is missing when it can't.
#   scripts/setup.sh build   virtual environment, Python packages, compilers
#   scripts/setup.sh test    the real mail clients that the tests drive, and a real Dovecot beside which they compare
#   scripts/setup.sh bench   the peers that the benchmarks compare with (unpacked, never installed)
set -euo pipefail
cd "$(dirname "$0")/.."

RUST_MINOR_MIN=90
PYTHON_MINOR_MIN=11
CLIENTS=(curl swaks isync msmtp fetchmail mutt imapfilter offlineimap3 getmail6)

die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# Installs Debian packages where that is permitted; else tells the line to type.
debian() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    local line="apt-get install --no-install-recommends ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        printf 'setup: missing: %s\n' "${missing[*]}" >&2
        printf 'setup: type: sudo %s\n' "$line" >&2
        return 1
    fi
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >/tmp/ironpost-apt.log 2>&1; then
        apt-get update -q >/tmp/ironpost-apt.log 2>&1 || true
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" \
            >>/tmp/ironpost-apt.log 2>&1 || { tail -n 5 /tmp/ironpost-apt.log >&2; die "could not install: ${missing[*]}"; }
    fi
}

setup_build() {
    command -v cargo >/dev/null || die "no Rust toolchain: install one from https://rustup.rs (1.$RUST_MINOR_MIN or newer)"
    local minor
    minor=$(rustc --version | sed -E 's/^rustc 1\.([0-9]+)\..*/\1/')
    [ "$minor" -ge $RUST_MINOR_MIN ] || die "rustc 1.$RUST_MINOR_MIN or newer is needed, this is $(rustc --version); try: rustup update stable"
    local python=${PYTHON:-python3}
    command -v "$python" >/dev/null || die "no Python: 3.$PYTHON_MINOR_MIN or newer is needed"
    "$python" -c "import sys; sys.exit(sys.version_info < (3, $PYTHON_MINOR_MIN))" \
        || die "Python 3.$PYTHON_MINOR_MIN or newer is needed, this is $("$python" --version); name another with PYTHON=..."
    local needed=()
    command -v cc >/dev/null && command -v c++ >/dev/null || needed+=(build-essential)
    "$python" -c 'import ensurepip, venv' 2>/dev/null || needed+=(python3-venv)
    [ ${#needed[@]} -eq 0 ] || debian "${needed[@]}"
    [ -x .venv/bin/python ] || "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check -U 'pip>=25.1'
    .venv/bin/python -m pip install -q --disable-pip-version-check --group dev
}

case "${1:-}" in
    build) setup_build ;;
    test)
        if ! debian "${CLIENTS[@]}"; then
            [ -z "${CI:-}" ] || die "the tests with real clients may not be skipped here"
            printf 'setup: tests that need them will be skipped\n' >&2
        fi
        # Dovecot, whose formats and protocol the tests of moving in and out are held against; unpacked, not installed.
        if ! scripts/peers.sh unpack; then
            [ -z "${CI:-}" ] || die "the tests beside a real Dovecot may not be skipped here"
            printf 'setup: tests beside a real Dovecot will be skipped\n' >&2
        fi
        ;;
    bench) scripts/peers.sh unpack ;;
    *) die "usage: scripts/setup.sh build|test|bench" ;;
esac
