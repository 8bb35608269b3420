/* SPDX-License-Identifier: Apache-2.0
 * strbuf: a growing, always NUL-terminated byte string. {0} is an empty one; s is NULL until the first append
 * (ff_strbuf_cstr gives "" then). len does not count the NUL.
 */
#ifndef FF_BASE_STRBUF_H
#define FF_BASE_STRBUF_H

#include <stdarg.h>
#include <stddef.h>

struct ff_strbuf {
    char *s;
    size_t len;
    size_t cap;
};

void ff_strbuf_free(struct ff_strbuf *b);              /* also resets to {0} */
void ff_strbuf_clear(struct ff_strbuf *b);             /* len 0, keeps the memory */
void ff_strbuf_reserve(struct ff_strbuf *b, size_t extra);
void ff_strbuf_putc(struct ff_strbuf *b, char c);
void ff_strbuf_puts(struct ff_strbuf *b, const char *s);
void ff_strbuf_append(struct ff_strbuf *b, const void *data, size_t len);
void ff_strbuf_printf(struct ff_strbuf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void ff_strbuf_vprintf(struct ff_strbuf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
const char *ff_strbuf_cstr(const struct ff_strbuf *b);
char *ff_strbuf_detach(struct ff_strbuf *b);           /* caller frees; buffer becomes empty */

#endif
