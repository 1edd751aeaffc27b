#!/usr/bin/env bash
# Debian's mail servers as peers for benchmarks and differential tests: downloaded with all their libraries, unpacked
# under .cache/peers/root, never installed. They run in that root and in a mount namespace of their own, on high ports.
#   scripts/peers.sh unpack             download and unpack (once; about 100 packages)
#   scripts/peers.sh start STATE_DIR    start Postfix + Dovecot with benches/peers/*; prints `ready`
#   scripts/peers.sh stop STATE_DIR     stop what start began
set -euo pipefail
cd "$(dirname "$0")/.."

PACKAGES=(postfix dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd dovecot-sieve bash dash coreutils diffutils findutils grep hostname libc-bin mawk openssl procps sed)
CACHE=$PWD/.cache/peers
ROOT=$CACHE/root

die() { printf 'peers: %s\n' "$*" >&2; exit 1; }

unpack() {
    [ -e "$CACHE/unpacked" ] && return 0
    [ "$(id -u)" -eq 0 ] || die "needs root for its mount namespace; run as root: scripts/peers.sh unpack"
    command -v apt-get >/dev/null || die "needs Debian's apt-get"
    mkdir -p "$CACHE/debs" "$ROOT"
    local names
    apt-cache policy postfix 2>/dev/null | grep -q 'Candidate: [0-9]' || apt-get update -q >"$CACHE/update.log" 2>&1
    names=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances "${PACKAGES[@]}" | grep -E '^[a-z0-9]' | sort -u)
    # Purely virtual names have no candidate and are left out.
    names=$(apt-cache policy $names | awk '/^[a-z0-9]/ {name = $1; sub(":$", "", name)} /Candidate: [0-9]/ {print name}')
    (cd "$CACHE/debs" && apt-get download -q $names >"$CACHE/download.log" 2>&1) \
        || die "download failed, see $CACHE/download.log"
    # Debian 12 has /bin, /lib and /sbin below /usr; its packages still name them at the top.
    mkdir -p "$ROOT"/usr/{bin,sbin,lib,lib64,lib32,libx32}
    local folder
    for folder in bin sbin lib lib64 lib32 libx32; do [ -e "$ROOT/$folder" ] || ln -s "usr/$folder" "$ROOT/$folder"; done
    for deb in "$CACHE"/debs/*.deb; do dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C "$ROOT"; done
    mkdir -p "$ROOT"/{dev,proc,tmp,root,run,var/mail} "$ROOT/etc/postfix"
    chmod 1777 "$ROOT/tmp"
    cat >"$ROOT/etc/passwd" <<'P'
root:x:0:0:root:/root:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
postfix:x:701:701::/var/spool/postfix:/usr/sbin/nologin
dovecot:x:702:702::/usr/lib/dovecot:/usr/sbin/nologin
dovenull:x:703:703::/nonexistent:/usr/sbin/nologin
vmail:x:705:705::/var/vmail:/usr/sbin/nologin
P
    cat >"$ROOT/etc/group" <<'P'
root:x:0:
tty:x:5:
nogroup:x:65534:
postfix:x:701:
dovecot:x:702:
dovenull:x:703:
postdrop:x:704:
vmail:x:705:
mail:x:8:
P
    printf 'passwd: files\ngroup: files\nhosts: files\nservices: files\n' >"$ROOT/etc/nsswitch.conf"
    printf '127.0.0.1 localhost peer.test\n::1 localhost\n' >"$ROOT/etc/hosts"
    chroot "$ROOT" ldconfig
    touch "$CACHE/unpacked"
}

# Runs a command inside the unpacked root, STATE_DIR mounted at /var/bench, so that both servers write to the disk that
# the caller chose.
inside() {
    local state=$1
    shift
    mkdir -p "$state" "$ROOT/var/bench"
    unshare -m bash -c '
        set -e
        mount --make-rprivate /
        mount --bind "$1" "$2/var/bench"
        mount --rbind /dev "$2/dev"
        mount -t proc proc "$2/proc"
        root=$2; shift 2
        exec chroot "$root" "$@"' inside "$state" "$ROOT" "$@"
}

start() {
    local state
    mkdir -p "$1"; state=$(realpath "$1")
    unpack
    mkdir -p "$ROOT/etc/peers"
    cp benches/peers/* "$ROOT/etc/peers/"
    # The daemons keep what they inherit: their output goes to a file, or a pipe of ours would never end.
    inside "$state" /bin/bash /etc/peers/start.sh >"$state/start.log" 2>&1 </dev/null \
        || { tail -n 5 "$state/start.log" >&2; die "the peers did not start"; }
    tail -n 1 "$state/start.log"
}

stop() { inside "$(realpath "$1")" /bin/bash /etc/peers/stop.sh; }

case "${1:-}" in
    unpack) unpack ;;
    start) start "${2:?state folder}" ;;
    stop) stop "${2:?state folder}" ;;
    *) die "usage: scripts/peers.sh unpack|start DIR|stop DIR" ;;
esac
