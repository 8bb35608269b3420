/* SPDX-License-Identifier: Apache-2.0
 * strbuf: a growing, always NUL-terminated byte string.
 */
#include "base/strbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

void ff_strbuf_free(struct ff_strbuf *b)
{
    free(b->s);
    *b = (struct ff_strbuf){0};
}

void ff_strbuf_clear(struct ff_strbuf *b)
{
    b->len = 0;
    if (b->s)
        b->s[0] = '\0';
}

void ff_strbuf_reserve(struct ff_strbuf *b, size_t extra)
{
    FF_ASSERT(extra < SIZE_MAX / 2 - b->len);
    size_t need = b->len + extra + 1; /* the NUL */
    if (need <= b->cap)
        return;
    size_t cap = b->cap + b->cap / 2;
    if (cap < need)
        cap = need;
    if (cap < 32)
        cap = 32;
    b->s = ff_xrealloc(b->s, cap);
    b->cap = cap;
    b->s[b->len] = '\0';
}

void ff_strbuf_putc(struct ff_strbuf *b, char c)
{
    ff_strbuf_reserve(b, 1);
    b->s[b->len++] = c;
    b->s[b->len] = '\0';
}

void ff_strbuf_puts(struct ff_strbuf *b, const char *s)
{
    ff_strbuf_append(b, s, strlen(s));
}

void ff_strbuf_append(struct ff_strbuf *b, const void *data, size_t len)
{
    ff_strbuf_reserve(b, len);
    if (len > 0)
        memcpy(b->s + b->len, data, len);
    b->len += len;
    b->s[b->len] = '\0';
}

void ff_strbuf_printf(struct ff_strbuf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    ff_strbuf_vprintf(b, fmt, ap);
    va_end(ap);
}

void ff_strbuf_vprintf(struct ff_strbuf *b, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    ff_strbuf_reserve(b, 64);
    size_t room = b->cap - b->len;
    int n = vsnprintf(b->s + b->len, room, fmt, ap);
    FF_ASSERT(n >= 0);
    if ((size_t)n >= room) {
        ff_strbuf_reserve(b, (size_t)n);
        vsnprintf(b->s + b->len, (size_t)n + 1, fmt, again);
    }
    b->len += (size_t)n;
    va_end(again);
}

const char *ff_strbuf_cstr(const struct ff_strbuf *b)
{
    return b->s ? b->s : "";
}

char *ff_strbuf_detach(struct ff_strbuf *b)
{
    char *s = b->s ? b->s : ff_xstrdup("");
    *b = (struct ff_strbuf){0};
    return s;
}
