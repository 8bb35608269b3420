#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes a C file holding the text of the YAML files named, as src/app/builtin.h declares it, so that the program
# carries its presets with it.  usage: embed_configs.sh configs/*.yaml >builtin_configs.c
set -eu
cat <<'HEAD'
/* Made by scripts/embed_configs.sh from configs/. */
#include "app/builtin.h"

const struct ff_builtin_config ff_builtin_configs[] = {
HEAD
for f in "$@"; do
    name=$(basename "$f" .yaml)
    printf '    {"%s",\n' "$name"
    # One literal per line of text; backslashes and quotes escaped.
    sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/^/     "/' -e 's/$/\\n"/' "$f"
    printf '    },\n'
done
cat <<'TAIL'
};

const int ff_builtin_config_count = sizeof ff_builtin_configs / sizeof ff_builtin_configs[0];
TAIL
