/* SPDX-License-Identifier: Apache-2.0
 * model_list: the networks of a run: those of --models, the one of --model, or the default for what is predicted.
 */
#ifndef FF_APP_MODEL_LIST_H
#define FF_APP_MODEL_LIST_H

#include "app/options.h"

struct ff_model_list {
    int count;
    struct ff_config *configs;       /* [count] they differ in model and msa */
};

/* line comes from the same arguments (ff_options_parse_line). complex: the targets are complexes, whose default is the
 * family multimer; without --models and --model single chains take the default of the configuration. FF_EUSAGE. */
ff_status ff_model_list_make(int argc, char **argv, const char *command, const struct ff_command_line *line,
                             bool complex, struct ff_model_list *ret) FF_MUST_USE;
void ff_model_list_free(struct ff_model_list *l);        /* frees what is inside and resets to {0} */

#endif
