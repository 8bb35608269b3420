#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Writes a CUDA source as C++ that the emulated GPU runs: launches become calls, dynamic shared memory a pointer.
# usage: translate.sh cuda/x.cu >x.cc
set -eu
sed -E -z \
    -e 's/extern __shared__ (__align__\([0-9]+\) )?([a-z0-9_]+) ([a-z0-9_]+)\[\];/\2 *\3 = (\2 *)emulator_shared();/g' \
    -e 's/([A-Za-z_][A-Za-z0-9_]*(<[^;{}]*>)?)[[:space:]]*<<<([^;]*)>>>[[:space:]]*\(([^;]*)\);/emulator_launch([\&] { \1(\4); }, \3);/g' \
    "$1"
