/* SPDX-License-Identifier: Apache-2.0
 * alloc: host memory. Running out of it ends the program (FF_EMEMORY), so callers do not check.
 */
#ifndef FF_BASE_ALLOC_H
#define FF_BASE_ALLOC_H

#include <stddef.h>

void *ff_xmalloc(size_t bytes);                      /* bytes 0 gives a unique pointer */
void *ff_xcalloc(size_t count, size_t size);         /* zeroed; checks count * size */
void *ff_xcalloc_aligned(size_t align, size_t bytes);  /* zeroed; align is a power of two, 8 or more */
void *ff_xmalloc_large(size_t bytes);                /* on large pages where there are such; contents undefined */
void *ff_alloc_large(size_t bytes);                  /* the same; NULL when memory runs out */
void *ff_xrealloc(void *p, size_t bytes);
void *ff_xreallocarray(void *p, size_t count, size_t size); /* checks count * size */
/* The whole pages of [from, to), a part of allocated memory, go back to the system; the contents are lost. */
void ff_discard(void *from, void *to);
char *ff_xstrdup(const char *s);
char *ff_xstrndup(const char *s, size_t n);
char *ff_xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* n objects of type T, zeroed. */
#define FF_NEW(T) ((T *)ff_xcalloc(1, sizeof(T)))
#define FF_NEW_ARRAY(T, n) ((T *)ff_xcalloc((n), sizeof(T)))

/* Makes room for one more element in a growing array: ptr, count, capacity. */
#define FF_GROW(ptr, count, cap)                                                     \
    do {                                                                             \
        if ((count) >= (cap)) {                                                      \
            (cap) = (cap) ? (cap) * 2 : 8;                                           \
            (ptr) = ff_xreallocarray((ptr), (size_t)(cap), sizeof *(ptr));           \
        }                                                                            \
    } while (0)

#endif
