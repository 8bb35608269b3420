/* SPDX-License-Identifier: Apache-2.0
 * clock: wall time and process resources.
 */
#ifndef FF_BASE_CLOCK_H
#define FF_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double ff_clock_now(void);              /* seconds, monotonic */
double ff_clock_cpu(void);              /* user + system seconds of this process and its waited-for children */
size_t ff_clock_peak_rss(void);         /* bytes, peak resident memory of this process */
size_t ff_clock_available_memory(void); /* bytes of host memory that can be had now (MemAvailable) */
int ff_clock_cpu_count(void);           /* processors this thread may run on */
bool ff_clock_is_bound(void);           /* to fewer processors than the machine has, as mpirun binds its ranks */
void ff_clock_unbind_thread(void);      /* this thread and its children run on any processor */

#endif
