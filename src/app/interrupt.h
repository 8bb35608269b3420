/* SPDX-License-Identifier: Apache-2.0
 * interrupt: Ctrl-C and SIGTERM. The first one ends the external programs and asks the run to stop at the next good
 * place; if that takes more than a few seconds, or on a second one, the program ends at once, without half files.
 */
#ifndef FF_APP_INTERRUPT_H
#define FF_APP_INTERRUPT_H

#include <stdbool.h>

void ff_interrupt_install(void);             /* once, by main */
const bool *ff_interrupt_flag(void);         /* true after a signal: what long work looks at */
int ff_interrupt_signal(void);               /* SIGINT or SIGTERM; 0: none came */

#endif
