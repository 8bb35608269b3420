/* SPDX-License-Identifier: Apache-2.0
 * batch: the targets of one command line, one after the other. A target that fails does not stop the others.
 */
#ifndef FF_APP_BATCH_H
#define FF_APP_BATCH_H

#include "app/options.h"
#include "app/pipeline.h"

/* A target of a command line, and how it ended. */
struct ff_batch_entry {
    struct ff_target target;
    struct ff_outcome outcome;
    ff_status status;
    char *message;               /* of a failure */
    int place;                   /* in the input */
};

/* Keeps a failure, with the message of the status. */
void ff_batch_fail(struct ff_batch_entry *e, ff_status st);

/* The whole of a command that goes up to a stage: options, targets, checks of all that can be checked, every target up
 * to the stage, and what came out on stdout. argv begins behind the command's name. Returns the exit status: the code
 * of the failure where there is one target; FF_EPARTIAL when some of several failed. */
int ff_batch_main(int argc, char **argv, const char *name, enum ff_stage last);

#endif
