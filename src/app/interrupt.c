/* SPDX-License-Identifier: Apache-2.0
 * interrupt: the signal handlers. Only async-signal-safe calls in here.
 */
#include "app/interrupt.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/subprocess.h"

enum { GRACE_SECONDS = 15 };

static bool stop;                            /* read through ff_interrupt_flag */
static volatile sig_atomic_t received;

static void end_now(int sig)
{
    ff_subprocess_kill_all(SIGKILL);
    ff_files_discard_open();
    _exit(128 + sig);
}

static void on_signal(int sig)
{
    int saved = errno;
    if (sig == SIGALRM || received != 0)
        end_now(received != 0 ? received : SIGTERM);
    received = sig;
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    ff_subprocess_kill_all(SIGTERM);
    alarm(GRACE_SECONDS);
    errno = saved;
}

void ff_interrupt_install(void)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGALRM};
    struct sigaction a;
    memset(&a, 0, sizeof a);
    a.sa_handler = on_signal;
    a.sa_flags = SA_RESTART;
    sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &a, NULL);
}

const bool *ff_interrupt_flag(void) { return &stop; }

int ff_interrupt_signal(void) { return received; }
