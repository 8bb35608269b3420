/* SPDX-License-Identifier: Apache-2.0
 * json: writing JSON (RFC 8259) into a strbuf.
 */
#include "format/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

void ff_json_init(struct ff_json *j, struct ff_strbuf *out, int indent)
{
    *j = (struct ff_json){.out = out, .indent = indent};
}

static void break_line(struct ff_json *j)
{
    if (j->indent == 0)
        return;
    ff_strbuf_putc(j->out, '\n');
    for (int i = 0; i < j->indent * j->depth; i++)
        ff_strbuf_putc(j->out, ' ');
}

/* What comes before an item of a container: the comma after the last one, and a new line. */
static void begin_item(struct ff_json *j)
{
    if (j->after_key) {
        j->after_key = false;
        return;
    }
    if (j->depth == 0)
        return;
    uint64_t bit = (uint64_t)1 << j->depth;
    if (j->has_item & bit)
        ff_strbuf_putc(j->out, ',');
    j->has_item |= bit;
    break_line(j);
}

static void begin_container(struct ff_json *j, char c)
{
    begin_item(j);
    ff_strbuf_putc(j->out, c);
    j->depth++;
    FF_ASSERT(j->depth < 64);
    j->has_item &= ~((uint64_t)1 << j->depth);
}

static void end_container(struct ff_json *j, char c)
{
    FF_ASSERT(j->depth > 0 && !j->after_key);
    bool had_item = j->has_item >> j->depth & 1;
    j->depth--;
    if (had_item)
        break_line(j);
    ff_strbuf_putc(j->out, c);
}

void ff_json_begin_object(struct ff_json *j)
{
    begin_container(j, '{');
}

void ff_json_end_object(struct ff_json *j)
{
    end_container(j, '}');
}

void ff_json_begin_array(struct ff_json *j)
{
    begin_container(j, '[');
}

void ff_json_end_array(struct ff_json *j)
{
    end_container(j, ']');
}

/* Length of the valid UTF-8 sequence at s, 0 when there is none (Unicode 15, table 3-7). */
static size_t utf8_length(const unsigned char *s)
{
    unsigned char c = s[0], low = 0x80, high = 0xbf;
    size_t n;
    if (c < 0x80)
        return 1;
    if (c >= 0xc2 && c <= 0xdf)
        n = 2;
    else if (c >= 0xe0 && c <= 0xef)
        n = 3;
    else if (c >= 0xf0 && c <= 0xf4)
        n = 4;
    else
        return 0;
    if (c == 0xe0)
        low = 0xa0; /* overlong forms */
    else if (c == 0xed)
        high = 0x9f; /* surrogates */
    else if (c == 0xf0)
        low = 0x90;
    else if (c == 0xf4)
        high = 0x8f; /* above U+10FFFF */
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (s[i] < 0x80 || s[i] > 0xbf)
            return 0;
    return n;
}

static void put_string(struct ff_strbuf *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    ff_strbuf_putc(out, '"');
    while (*s) {
        size_t n = utf8_length(s);
        if (n > 1) {
            ff_strbuf_append(out, s, n);
        } else if (n == 0) { /* a header line in Latin-1, say: the replacement character keeps the JSON valid */
            ff_strbuf_puts(out, "\\ufffd");
            n = 1;
        } else if (*s == '"' || *s == '\\') {
            ff_strbuf_putc(out, '\\');
            ff_strbuf_putc(out, (char)*s);
        } else if (*s == '\n') {
            ff_strbuf_puts(out, "\\n");
        } else if (*s == '\t') {
            ff_strbuf_puts(out, "\\t");
        } else if (*s == '\r') {
            ff_strbuf_puts(out, "\\r");
        } else if (*s < 0x20 || *s == 0x7f) {
            ff_strbuf_printf(out, "\\u%04x", *s);
        } else {
            ff_strbuf_putc(out, (char)*s);
        }
        s += n;
    }
    ff_strbuf_putc(out, '"');
}

void ff_json_key(struct ff_json *j, const char *key)
{
    FF_ASSERT(j->depth > 0 && !j->after_key);
    begin_item(j);
    put_string(j->out, key);
    ff_strbuf_puts(j->out, j->indent ? ": " : ":");
    j->after_key = true;
}

void ff_json_string(struct ff_json *j, const char *s)
{
    if (!s) {
        ff_json_null(j);
        return;
    }
    begin_item(j);
    put_string(j->out, s);
}

void ff_json_int(struct ff_json *j, int64_t v)
{
    begin_item(j);
    ff_strbuf_printf(j->out, "%" PRId64, v);
}

void ff_json_bool(struct ff_json *j, bool v)
{
    begin_item(j);
    ff_strbuf_puts(j->out, v ? "true" : "false");
}

void ff_json_null(struct ff_json *j)
{
    begin_item(j);
    ff_strbuf_puts(j->out, "null");
}

/* v with the fewest digits that read back equal, as "d.ddde[+-]xx" (the number of digits is prec + 1). */
static int shortest(double v, char *buf, size_t size)
{
    /* Any double of at most 15 digits prints as itself with 15, so only subnormal numbers need to try fewer. */
    for (int prec = fabs(v) < 0x1p-1022 ? 0 : 14; prec < 17; prec++) {
        snprintf(buf, size, "%.*e", prec, v);
        if (prec == 16 || strtod(buf, NULL) == v)
            return prec;
        /* Above a power of two the doubles lie twice as far apart as below: 16 digits that are not the nearest may
         * still read back. */
        char *last = strchr(buf, 'e') - 1;
        if (prec == 15 && *last < '9') {
            ++*last;
            if (strtod(buf, NULL) == v)
                return prec;
        }
    }
    return 16;
}

/* Python's repr: positional notation for exponents -4 to 15, otherwise scientific with two digits at least. */
static void put_double(struct ff_strbuf *out, double v)
{
    if (!isfinite(v)) {
        ff_strbuf_puts(out, "null");
        return;
    }
    char buf[40], digits[20];
    int n = 0, prec = shortest(v, buf, sizeof buf);
    const char *p = buf;
    if (*p == '-')
        ff_strbuf_putc(out, *p++);
    for (; n <= prec; p++)
        if (*p >= '0' && *p <= '9')
            digits[n++] = *p;
    int exponent = (int)strtol(strchr(p, 'e') + 1, NULL, 10);
    while (n > 1 && digits[n - 1] == '0')
        n--;

    if (exponent < -4 || exponent >= 16) {
        ff_strbuf_putc(out, digits[0]);
        if (n > 1) {
            ff_strbuf_putc(out, '.');
            ff_strbuf_append(out, digits + 1, (size_t)n - 1);
        }
        ff_strbuf_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
        return;
    }
    if (exponent < 0)
        ff_strbuf_puts(out, "0");
    for (int i = 0; i <= exponent; i++)
        ff_strbuf_putc(out, i < n ? digits[i] : '0');
    ff_strbuf_putc(out, '.');
    for (int i = -1; i > exponent; i--)
        ff_strbuf_putc(out, '0');
    int first = exponent < 0 ? 0 : exponent + 1;
    if (first < n)
        ff_strbuf_append(out, digits + first, (size_t)(n - first));
    else
        ff_strbuf_putc(out, '0');
}

void ff_json_double(struct ff_json *j, double v)
{
    begin_item(j);
    put_double(j->out, v);
}

void ff_json_put_string(struct ff_json *j, const char *key, const char *s)
{
    ff_json_key(j, key);
    ff_json_string(j, s);
}

void ff_json_put_int(struct ff_json *j, const char *key, int64_t v)
{
    ff_json_key(j, key);
    ff_json_int(j, v);
}

void ff_json_put_double(struct ff_json *j, const char *key, double v)
{
    ff_json_key(j, key);
    ff_json_double(j, v);
}

/* The common case of matrices with millions of small numbers, ten times faster than printf. Gives up (false) near a
 * tie, where the product below might round to the wrong side of it. */
static bool put_small_fixed(struct ff_strbuf *out, double v, int decimals)
{
    static const int scale[] = {1, 10, 100, 1000, 10000};
    if (decimals > 4 || !(fabs(v) < 1e5))
        return false;
    double scaled = fabs(v) * scale[decimals], whole = floor(scaled), part = scaled - whole;
    if (fabs(part - 0.5) < 1e-6)
        return false;
    int n = (int)whole + (part > 0.5), left = n / scale[decimals], right = n % scale[decimals];
    char buf[24], *p = buf + sizeof buf;
    int places = decimals;
    for (; places > 1 && right % 10 == 0; places--)
        right /= 10;
    for (int i = 0; i < (places > 0 ? places : 1); i++, right /= 10)
        *--p = (char)('0' + right % 10);
    *--p = '.';
    do
        *--p = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (signbit(v))
        *--p = '-';
    ff_strbuf_append(out, p, (size_t)(buf + sizeof buf - p));
    return true;
}

void ff_json_fixed(struct ff_json *j, double v, int decimals)
{
    FF_ASSERT(decimals >= 0);
    begin_item(j);
    if (isfinite(v) && put_small_fixed(j->out, v, decimals))
        return;
    if (!isfinite(v) || decimals > 17) {
        put_double(j->out, v);
        return;
    }
    /* printf rounds the exact binary value, ties to even, which is what Python's round does; reading the text back
     * then gives the double whose repr Python prints. */
    char buf[400];
    snprintf(buf, sizeof buf, "%.*f", decimals, v);
    put_double(j->out, strtod(buf, NULL));
}
