#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what building, demo and tests need and this machine lacks, as Debian packages. As root, or where sudo asks
# for no password, it installs; otherwise it prints the line to type and ends with status 1. Does nothing, quickly,
# when everything is there.  usage: deps.sh [lint]   (lint: also what `make lint` needs)
set -u
missing=

# need PACKAGE COMMAND...: the package is missing when the command fails.
need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || case " $missing " in
        *" $package "*) ;;
        *) missing="$missing $package" ;;
    esac
}
program() { command -v "$1"; }
# A C text compiles and links with the library.
library() {
    printf '%s\nint main(void){return 0;}\n' "$1" | cc -x c - -o /dev/null "$2"
}
blas() {
    # shellcheck disable=SC2046
    printf '#include <cblas.h>\nint main(void){return 0;}\n' |
        cc -x c - -o /dev/null $(pkg-config --cflags --libs openblas 2>/dev/null || echo -lopenblas)
}
cmocka_text='#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>'

need gcc program cc
need libc6-dev library '#include <stdio.h>' -lm
need make program make
need zlib1g-dev library '#include <zlib.h>' -lz
need libyaml-dev library '#include <yaml.h>' -lyaml
need libopenblas-dev blas
need libopenmpi-dev program mpicc
need openmpi-bin program mpirun
need hmmer program jackhmmer
need hhsuite program hhblits
need kalign program kalign
need mmseqs2 program mmseqs
need libcmocka-dev library "$cmocka_text" -lcmocka
need bats program bats
if [ "${1:-}" = lint ]; then
    need shellcheck program shellcheck
    need mandoc program mandoc
fi
[ -z "$missing" ] && exit 0

echo "missing:$missing"
if ! command -v apt-get >/dev/null 2>&1; then
    echo "There is no apt-get here: install what these Debian packages hold, then run this again." >&2
    exit 1
fi
if [ "$(id -u)" -eq 0 ]; then
    sudo=
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo=sudo
else
    echo "Type this, then run make again:" >&2
    echo "  sudo apt-get install$missing" >&2
    exit 1
fi
# shellcheck disable=SC2086
{
    echo "$sudo apt-get install --yes --no-install-recommends$missing"
    $sudo apt-get update -qq &&
        $sudo env DEBIAN_FRONTEND=noninteractive apt-get install --yes -qq --no-install-recommends $missing >/dev/null
} || {
    echo "apt-get failed; the message above says why. Needed:$missing" >&2
    exit 1
}
