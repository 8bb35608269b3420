/* SPDX-License-Identifier: Apache-2.0
 * clock: wall time and process resources, as Linux reports them.
 *
 * A container's limits count: free memory and processors are the least of what the machine has and what the control
 * groups above this process allow.
 */
#include "base/clock.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double ff_clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double rusage_seconds(int who)
{
    struct rusage u;
    if (getrusage(who, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

double ff_clock_cpu(void)
{
    return rusage_seconds(RUSAGE_SELF) + rusage_seconds(RUSAGE_CHILDREN);
}

size_t ff_clock_peak_rss(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (size_t)u.ru_maxrss * 1024;
}

/* First line of a small file without its line break; false when it cannot be read. */
static bool read_first_line(const char *path, char *buf, size_t size)
{
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    bool ok = fgets(buf, (int)size, f) != NULL;
    fclose(f);
    if (ok)
        buf[strcspn(buf, "\n")] = '\0';
    return ok;
}

static bool read_u64(const char *path, uint64_t *ret)
{
    char text[64];
    char *end;
    if (!read_first_line(path, text, sizeof text) || text[0] < '0' || text[0] > '9')
        return false; /* "max": no limit */
    *ret = strtoull(text, &end, 10);
    return true;
}

/* This process's folder below /sys/fs/cgroup (unified hierarchy), "" when unknown. */
static void cgroup_path(char *buf, size_t size)
{
    char line[4096];
    buf[0] = '\0';
    FILE *f = fopen("/proc/self/cgroup", "r");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "0::/", 4) == 0) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(buf, size, "%s", line + 3);
            break;
        }
    }
    fclose(f);
}

/* Calls visit for the process's control group and every one above it, "" being the root. */
static void each_cgroup(void (*visit)(const char *group, void *user), void *user)
{
    char group[4096];
    cgroup_path(group, sizeof group);
    for (;;) {
        char *slash = strrchr(group, '/');
        visit(group, user);
        if (!slash)
            return;
        *slash = '\0';
    }
}

static void limit_memory(const char *group, void *user)
{
    uint64_t *available = user, limit, used;
    char path[4200];
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
    if (!read_u64(path, &limit))
        return;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.current", group);
    if (!read_u64(path, &used))
        return;
    /* Cached files count as used but are given up under pressure. */
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.stat", group);
    FILE *f = fopen(path, "r");
    if (f) {
        char line[256];
        while (fgets(line, sizeof line, f)) {
            if (strncmp(line, "inactive_file ", 14) == 0 || strncmp(line, "active_file ", 12) == 0) {
                uint64_t cached = strtoull(strchr(line, ' '), NULL, 10);
                used -= cached < used ? cached : used;
            }
        }
        fclose(f);
    }
    uint64_t left = used < limit ? limit - used : 0;
    if (left < *available)
        *available = left;
}

size_t ff_clock_available_memory(void)
{
    uint64_t available = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    if (f) {
        char line[256];
        while (fgets(line, sizeof line, f))
            if (strncmp(line, "MemAvailable:", 13) == 0)
                available = strtoull(line + 13, NULL, 10) * 1024;
        fclose(f);
    }
    if (available == 0) {
        long pages = sysconf(_SC_AVPHYS_PAGES), size = sysconf(_SC_PAGESIZE);
        available = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : 0;
    }
    each_cgroup(limit_memory, &available);
    return (size_t)available;
}

static void limit_cpus(const char *group, void *user)
{
    int *count = user;
    char path[4200], text[128], *end;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
    if (!read_first_line(path, text, sizeof text) || text[0] < '0' || text[0] > '9')
        return;
    double quota = strtod(text, &end), period = strtod(end, NULL);
    if (period <= 0)
        return;
    int allowed = (int)(quota / period + 0.999);
    if (allowed < 1)
        allowed = 1;
    if (allowed < *count)
        *count = allowed;
}

/* Of the affinity mask; 0: not known. */
static int count_affinity(void)
{
    int count = 0;
    /* The kernel refuses a mask smaller than its own, so try growing ones. */
    for (int cpus = 1024; cpus <= 1024 * 64 && count == 0; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE(cpus);
        CPU_ZERO_S(size, set);
        if (sched_getaffinity(0, size, set) == 0)
            count = CPU_COUNT_S(size, set);
        CPU_FREE(set);
    }
    return count;
}

int ff_clock_cpu_count(void)
{
    int count = count_affinity();
    if (count == 0) {
        long n = sysconf(_SC_NPROCESSORS_ONLN);
        count = n > 0 ? (int)n : 1;
    }
    each_cgroup(limit_cpus, &count);
    return count;
}

bool ff_clock_is_bound(void)
{
    int count = count_affinity();
    return count > 0 && count < sysconf(_SC_NPROCESSORS_ONLN);
}

void ff_clock_unbind_thread(void)
{
    int cpus = 1024 * 64; /* the kernel takes those that exist and that the container has */
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (!set)
        return;
    size_t size = CPU_ALLOC_SIZE(cpus);
    memset(set, 0xff, size);
    sched_setaffinity(0, size, set);
    CPU_FREE(set);
}
