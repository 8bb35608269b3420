/* SPDX-License-Identifier: Apache-2.0
 * lines: walks through the lines of a text in memory. Lines end with LF, CRLF or CR; a missing last line end is fine.
 * A large text may be used up on the way: the memory of lines that were passed goes back to the system.
 */
#ifndef FF_BIO_LINES_H
#define FF_BIO_LINES_H

#include <stdbool.h>
#include <stddef.h>

struct ff_lines {
    const char *next;        /* first byte that was not handed out */
    const char *end;
    const char *feed;        /* first LF at or behind next, end when there is none; NULL: not looked for yet */
    char *spent;             /* of a text that is used up: its start, then what was not given back yet; else NULL */
    int number;              /* 1-based number of the current line */
    const char *line;        /* current line, not NUL-terminated, without its line end */
    size_t len;
};

/* Skips a UTF-8 byte order mark. */
void ff_lines_init(struct ff_lines *it, const char *text, size_t len);
/* The same of a text that is used up: what lies before the current line must not be read any more. */
void ff_lines_init_spend(struct ff_lines *it, char *text, size_t len);
bool ff_lines_next(struct ff_lines *it);              /* false at the end of the text */

bool ff_lines_is_space(char c);                       /* space, tab, LF, CR, VT, FF, whatever the locale */
bool ff_lines_is_blank(const char *line, size_t len);
bool ff_lines_starts_with(const char *line, size_t len, const char *prefix);
/* Takes off white space: at both ends, or trailing alone. */
void ff_lines_trim(const char **line, size_t *len);
void ff_lines_trim_end(const char *line, size_t *len);
/* Next word of [*p, end): returns its start and length and moves *p behind it; false when only white space is left. */
bool ff_lines_word(const char **p, const char *end, const char **ret_word, size_t *ret_len);

/* A byte as a message shows it: 'x', or 0x00 when it does not print. buf has at least 8 bytes; returns buf. */
const char *ff_lines_show_byte(char c, char *buf);

#endif
