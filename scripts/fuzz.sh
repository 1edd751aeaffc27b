#!/bin/bash
# Runs every fuzz target for FUZZ_SECONDS each (60 when not set): with the project's own runner on stable Rust and, when
# cargo-fuzz is installed, with coverage as the guide. Arguments name targets; none means all.
# What fails is kept in rust/fuzz/artifacts. Put it into rust/fuzz/regressions/TARGET/ together with the repair.
set -euo pipefail
cd "$(dirname "$0")/.."

export FUZZ_SECONDS="${FUZZ_SECONDS:-60}"
case "$FUZZ_SECONDS" in
    '' | *[!0-9]*) echo "fuzz: FUZZ_SECONDS=$FUZZ_SECONDS: a whole number is wanted" >&2; exit 2 ;;
esac

proto="smtp_server smtp_client imap_server imap_client imap_search_key pop3_server address mailbox_name"
mime="mime_structure mime_envelope mime_text"
targets="${*:-$proto $mime}"
failed=""

for target in $targets; do
    case " $proto " in
        *" $target "*) package=ironpost-proto test=fuzz_cores ;;
        *) package=ironpost-mime test=fuzz_mime ;;
    esac
    case " $proto $mime " in
        *" $target "*) ;;
        *) echo "fuzz: no target $target; there are: $proto $mime" >&2; exit 2 ;;
    esac
    cargo test --quiet --locked -p "$package" --test "$test" -- --exact "$target" --nocapture || failed="$failed $target"
done

if cargo fuzz --version > /dev/null 2>&1; then
    seeds="$PWD/rust/fuzz/corpus"
    FUZZ_WRITE_SEEDS="$seeds" cargo test --quiet --locked -p ironpost-proto --test fuzz_cores
    FUZZ_WRITE_SEEDS="$seeds" cargo test --quiet --locked -p ironpost-mime --test fuzz_mime
    for target in $targets; do
        case "$target" in
            smtp_* | address) dictionary=smtp ;;
            imap_* | mailbox_name) dictionary=imap ;;
            pop3_*) dictionary=pop3 ;;
            *) dictionary=mime ;;
        esac
        cargo fuzz run --fuzz-dir rust/fuzz --sanitizer none "$target" -- \
            -max_total_time="$FUZZ_SECONDS" -dict="rust/fuzz/dictionaries/$dictionary.dict" -max_len=16384 -timeout=10 ||
            failed="$failed $target(cargo-fuzz)"
    done
else
    echo "fuzz: cargo-fuzz is not installed; the runner on stable Rust was all (cargo install cargo-fuzz)"
fi

if [ -n "$failed" ]; then
    echo "fuzz: failed:$failed" >&2
    exit 1
fi
echo "fuzz: no failures in $FUZZ_SECONDS s for each of: $targets"
