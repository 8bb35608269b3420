/* SPDX-License-Identifier: Apache-2.0
 * batch: the targets of one command line, one after the other. A target that fails does not stop the others.
 */
#ifndef FF_APP_BATCH_H
#define FF_APP_BATCH_H

#include "app/options.h"
#include "app/run_record.h"

/* Reads the targets, checks all that can be checked, runs every target up to the stage last, and prints what came out
 * on stdout. command is the command line as typed. The code of the failure where there is one target; FF_EPARTIAL when
 * some of several failed. */
ff_status ff_batch_run(const struct ff_config *config, const struct ff_command_line *line, const char *command,
                       enum ff_stage last) FF_MUST_USE;

/* The whole of a command that goes up to a stage: options, run, exit status. argv begins behind its name. */
int ff_batch_main(int argc, char **argv, const char *name, enum ff_stage last);

#endif
