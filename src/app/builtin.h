/* SPDX-License-Identifier: Apache-2.0
 * builtin: the YAML files of configs/ as they were when the program was built. The table is made by
 * scripts/embed_configs.sh; it makes the one executable work without its source tree.
 */
#ifndef FF_APP_BUILTIN_H
#define FF_APP_BUILTIN_H

struct ff_builtin_config {
    const char *name;            /* file name without .yaml: "model_1_ptm" */
    const char *text;
};

extern const struct ff_builtin_config ff_builtin_configs[];  /* [ff_builtin_config_count], sorted by name */
extern const int ff_builtin_config_count;

#endif
