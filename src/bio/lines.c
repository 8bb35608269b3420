/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/lines.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

void ff_lines_init(struct ff_lines *it, const char *text, size_t len)
{
    *it = (struct ff_lines){.next = text, .end = text + len};
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        it->next += 3;
}

void ff_lines_init_spend(struct ff_lines *it, char *text, size_t len)
{
    ff_lines_init(it, text, len);
    it->spent = text;
}

bool ff_lines_next(struct ff_lines *it)
{
    enum { STEP = 1 << 20 };
    if (it->next >= it->end)
        return false;
    if (it->spent && it->next - it->spent >= STEP) {
        ff_discard(it->spent, it->spent + STEP);
        it->spent += STEP;
    }
    /* The LF is remembered over the CRs before it, so that a text with CR line ends is scanned twice, not n times. */
    if (!it->feed || it->feed < it->next) {
        it->feed = memchr(it->next, '\n', (size_t)(it->end - it->next));
        if (!it->feed)
            it->feed = it->end;
    }
    const char *stop = memchr(it->next, '\r', (size_t)(it->feed - it->next));
    it->line = it->next;
    it->number++;
    if (!stop)
        stop = it->feed;
    it->len = (size_t)(stop - it->next);
    if (stop < it->end && *stop == '\r' && stop + 1 == it->feed)
        stop = it->feed;
    it->next = stop < it->end ? stop + 1 : it->end;
    return true;
}

bool ff_lines_is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool ff_lines_is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!ff_lines_is_space(line[i]))
            return false;
    return true;
}

bool ff_lines_starts_with(const char *line, size_t len, const char *prefix)
{
    size_t n = strlen(prefix);
    return len >= n && memcmp(line, prefix, n) == 0;
}

void ff_lines_trim_end(const char *line, size_t *len)
{
    while (*len > 0 && ff_lines_is_space(line[*len - 1]))
        --*len;
}

void ff_lines_trim(const char **line, size_t *len)
{
    while (*len > 0 && ff_lines_is_space(**line)) {
        ++*line;
        --*len;
    }
    ff_lines_trim_end(*line, len);
}

bool ff_lines_word(const char **p, const char *end, const char **ret_word, size_t *ret_len)
{
    const char *s = *p;
    while (s < end && ff_lines_is_space(*s))
        s++;
    const char *e = s;
    /* Eight bytes at a time while none is below '!': alignments are long words. */
    for (uint64_t eight; end - e >= 8; e += 8) {
        memcpy(&eight, e, sizeof eight);
        if (((eight - 0x2121212121212121u) & ~eight & 0x8080808080808080u) != 0)
            break;
    }
    while (e < end && !ff_lines_is_space(*e))
        e++;
    *p = e;
    *ret_word = s;
    *ret_len = (size_t)(e - s);
    return e > s;
}

const char *ff_lines_show_byte(char c, char *buf)
{
    if (c >= 0x20 && c < 0x7f)
        snprintf(buf, 8, "'%c'", c);
    else
        snprintf(buf, 8, "0x%02X", (unsigned)(unsigned char)c);
    return buf;
}
