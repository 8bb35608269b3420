/* SPDX-License-Identifier: Apache-2.0
 * option_file: a configuration file or built-in preset, with the chain of files that its `base:` names.
 *
 * Keys are those of the option table, nested or dotted, and at the top `base:`, the file or preset whose values come
 * first. A plain name is a built-in preset; anything with a '/' or ending in .yaml is a path relative to the file.
 */
#ifndef FF_APP_OPTION_FILE_H
#define FF_APP_OPTION_FILE_H

#include "app/option_table.h"

struct ff_option_file {
    char *name;                  /* for messages: the path, or "built-in model_1.yaml" */
    char *dir;                   /* where relative paths start; NULL: the working folder */
    struct ff_yaml *root;
    char *preset;                /* name of a built-in preset; NULL for files */
    struct ff_option_file *base; /* NULL: none */
};

/* spec is a path or the name of a built-in preset. FF_EMISSING when it is neither. */
ff_status ff_option_file_load(const char *spec, struct ff_option_file **ret) FF_MUST_USE;
void ff_option_file_free(struct ff_option_file *f);      /* NULL is allowed */

/* The values of the base, then those of the file. FF_EUSAGE with file and line. */
ff_status ff_option_file_apply(const struct ff_option_file *f, struct ff_config *config) FF_MUST_USE;

/* The model that the file describes: its model.name, or the preset that its base is; NULL when it names none. */
const char *ff_option_file_model(const struct ff_option_file *f);

/* Whether name is a preset of a whole network, such as model_1 or demo: what --model takes. */
bool ff_option_file_is_model(const char *name);
/* All of them, in order; i counts from 0, NULL behind the last. */
const char *ff_option_file_model_name(int i);

#endif
