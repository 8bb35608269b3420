/* SPDX-License-Identifier: Apache-2.0
 * mail: messages from one rank to another, outside of any communicator's collectives. Thread-safe; nobody has to wait
 * for them in MPI, which would keep a processor busy.
 */
#ifndef FF_PARALLEL_MAIL_H
#define FF_PARALLEL_MAIL_H

#include <stdbool.h>
#include <stdint.h>

enum { FF_MAIL_VALUES = 8 };

struct ff_mail {
    int32_t what;                    /* the reader's own numbering, not 0 */
    int32_t from;                    /* rank; filled in */
    int32_t index, status;
    double value[FF_MAIL_VALUES];
    char *text;                      /* NULL: none */
};

void ff_mail_open(void);             /* collective over the world, once */
void ff_mail_close(void);            /* the same */

/* Returns when m may be reused. Mail without text never waits for its reader; other mail may until the reader calls
 * ff_mail_receive. */
void ff_mail_send(int to, const struct ff_mail *m);

/* One that has come, in the order of each sender; text is the caller's. false: none now. */
bool ff_mail_receive(struct ff_mail *ret);

#endif
