/* SPDX-License-Identifier: Apache-2.0
 * alloc: malloc and friends that end the program when memory runs out.
 */
#include "base/alloc.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/status.h"

static void *checked(void *p, size_t bytes)
{
    if (!p)
        ff_die(FF_EMEMORY, __FILE__, __LINE__, "the host could not give %zu bytes (%.1f GiB)", bytes,
               (double)bytes / (1024.0 * 1024.0 * 1024.0));
    return p;
}

static size_t checked_product(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        ff_die(FF_EMEMORY, __FILE__, __LINE__, "%zu elements of %zu bytes are more than any memory", count, size);
    return bytes;
}

void *ff_xmalloc(size_t bytes)
{
    return checked(malloc(bytes ? bytes : 1), bytes);
}

void *ff_xcalloc(size_t count, size_t size)
{
    size_t bytes = checked_product(count, size);
    return checked(calloc(1, bytes ? bytes : 1), bytes);
}

void *ff_xcalloc_aligned(size_t align, size_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, align, bytes ? bytes : 1) != 0)
        ff_die(FF_EMEMORY, __FILE__, __LINE__, "out of memory: %zu bytes asked for", bytes);
    return memset(p, 0, bytes);
}

void *ff_alloc_large(size_t bytes)
{
    const size_t huge_page = (size_t)2 << 20;
    bool large = bytes >= 2 * huge_page;
    void *p = NULL;
    if (posix_memalign(&p, large ? huge_page : 256, bytes ? bytes : 1) != 0)
        return NULL;
    /* Fewer faults when the memory is first written; and rows that lie pages apart stay in the translation cache. */
    if (large)
        (void)madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

void *ff_xmalloc_large(size_t bytes)
{
    return checked(ff_alloc_large(bytes), bytes);
}

void *ff_xrealloc(void *p, size_t bytes)
{
    return checked(realloc(p, bytes ? bytes : 1), bytes);
}

void *ff_xreallocarray(void *p, size_t count, size_t size)
{
    return ff_xrealloc(p, checked_product(count, size));
}

void ff_discard(void *from, void *to)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t at = ((uintptr_t)from + page - 1) / page * page, end = (uintptr_t)to / page * page;
    if (at < end)
        (void)madvise((void *)at, end - at, MADV_DONTNEED);
}

char *ff_xstrdup(const char *s)
{
    size_t len = strlen(s) + 1;
    return memcpy(ff_xmalloc(len), s, len);
}

char *ff_xstrndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = ff_xmalloc(len + 1);
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *ff_xasprintf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    FF_ASSERT(n >= 0);
    char *s = ff_xmalloc((size_t)n + 1);
    vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}
