#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fetches the published AlphaFold parameters (CC BY 4.0; a tar of 5.3 GB) into DIR/params and checks every file. An
# interrupted download goes on where it stopped when the script is run again.
#   usage: download_params.sh DIR [--keep-archive]
#   then:  fastfold predict FILE.fasta --params DIR/params
# FASTFOLD names the program that checks the files (default: build/fastfold of this tree, or the one on PATH);
# FASTFOLD_PARAMS_URL another place to fetch the archive from.
set -euo pipefail

url=${FASTFOLD_PARAMS_URL:-https://storage.googleapis.com/alphafold/alphafold_params_2022-12-06.tar}
all_models=$(for kind in '' _ptm _multimer_v3; do for i in 1 2 3 4 5; do echo "model_$i$kind"; done; done)
models=${FASTFOLD_PARAMS_MODELS:-$all_models}
gib=$((1024 * 1024 * 1024))

die() {
    echo "download_params.sh: $*" >&2
    exit 1
}

dir='' keep=no
for arg in "$@"; do
    case $arg in
        --keep-archive) keep=yes ;;
        -h | --help) sed -n 's/^# \{0,1\}//; 3,9p' "$0"; exit 0 ;;
        -*) die "unknown option $arg; expected DIR [--keep-archive]" ;;
        *) [ -z "$dir" ] || die "found '$arg'; expected one folder"; dir=$arg ;;
    esac
done
[ -n "$dir" ] || die "expected a folder: download_params.sh DIR [--keep-archive]"

here=$(cd "$(dirname "$0")/.." && pwd)
fastfold=${FASTFOLD:-}
if [ -z "$fastfold" ]; then
    if [ -x "$here/build/fastfold" ]; then fastfold=$here/build/fastfold
    elif [ -x "$here/../../bin/fastfold" ]; then fastfold=$here/../../bin/fastfold
    else fastfold=$(command -v fastfold) || die "fastfold was not found: run make first, or set FASTFOLD"
    fi
fi

check_all() {
    local m bad=0
    for m in $models; do
        "$fastfold" params check "$dir/params" --model "$m" || bad=$((bad + 1))
    done
    [ "$bad" -eq 0 ]
}

# Folders whose files are all there are only checked.
have_all=yes
for m in $models; do
    [ -e "$dir/params/params_$m.npz" ] || have_all=no
done
if [ "$have_all" = yes ]; then
    echo "$dir/params has every file; checking them"
    check_all && exit 0
    die "remove the damaged files above from $dir/params and run this again"
fi

mkdir -p "$dir/params"
archive=$dir/$(basename "$url")

# --- size, room ---
size=
if command -v curl >/dev/null; then
    size=$(curl -sIL "$url" | tr -d '\r' | sed -n 's/^[Cc]ontent-[Ll]ength: *//p' | tail -n 1)
elif command -v wget >/dev/null; then
    size=$(wget --spider --server-response "$url" 2>&1 | sed -n 's/^ *Content-Length: *//p' | tail -n 1)
fi
size=${size:-0}
[ "$size" -gt 0 ] 2>/dev/null || size=0
have=0
[ -e "$archive" ] && have=$(stat -c %s "$archive")
if [ "$size" -gt 0 ]; then
    need=$((2 * size - have))
else
    need=$((11 * gib - have))
    case $url in file:*) need=0 ;; esac
fi
free=$(df -Pk "$dir" | awk 'NR == 2 { printf "%.0f", $4 * 1024 }')
if [ "$free" -lt "$need" ]; then
    die "$dir has $((free / gib)) GiB free; archive and files need $((need / gib + 1)) GiB more"
fi

# --- fetch ---
if [ "$size" -gt 0 ] && [ "$have" -eq "$size" ]; then
    echo "$archive is complete"
elif command -v aria2c >/dev/null && [ "${url#file:}" = "$url" ]; then
    aria2c --continue --max-connection-per-server=8 --dir="$dir" --out="$(basename "$archive")" "$url"
elif command -v curl >/dev/null; then
    curl --fail --location --retry 5 --continue-at - --output "$archive" "$url"
elif command -v wget >/dev/null; then
    wget --continue --tries=5 --output-document="$archive" "$url"
else
    die "none of aria2c, curl and wget is there (Debian: apt-get install curl)"
fi
have=$(stat -c %s "$archive")
if [ "$size" -gt 0 ] && [ "$have" -ne "$size" ]; then
    die "$archive has $have of $size bytes; run this again to go on"
fi

# --- unpack, check ---
list=$(tar -tf "$archive") || die "$archive is damaged; remove it and run this again"
for m in $models; do
    grep -qE "(^|/)params_$m\.npz\$" <<<"$list" || die "$archive does not hold params_$m.npz; is $url right?"
done
tar -xf "$archive" -C "$dir/params" --no-same-owner
check_all || die "these files are damaged; remove $archive and $dir/params and run this again"
[ "$keep" = yes ] || rm -f "$archive"
echo "done: fastfold predict FILE.fasta --params $dir/params"
