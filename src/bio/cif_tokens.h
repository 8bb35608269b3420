/* SPDX-License-Identifier: Apache-2.0
 * cif_tokens: cuts CIF text into tokens (syntax of CIF 1.1; IUCr). Tokens point into the text, nothing is copied.
 *
 * Line ends may be LF, CRLF or CR. Comments are skipped. A quoted value ends at its quote only where white space or the
 * line's end follows, so that 'a dog's life' is one value; '#' and quotes inside a bare token belong to it.
 */
#ifndef FF_BIO_CIF_TOKENS_H
#define FF_BIO_CIF_TOKENS_H

#include <stddef.h>

#include "base/status.h"

enum ff_cif_kind {
    FF_CIF_END,          /* of the text */
    FF_CIF_BARE,         /* data names, reserved words and unquoted values: the reader knows which */
    FF_CIF_QUOTED,       /* without its quotes */
    FF_CIF_TEXT,         /* between two lines that start with ';': with inner line ends, without trailing white space */
};

struct ff_cif_token {
    enum ff_cif_kind kind;
    const char *s;
    size_t len;
};

struct ff_cif_tokens {
    const char *name;    /* of the file, for messages */
    const char *text;
    const char *next;
    const char *end;
};

/* Skips a UTF-8 byte order mark. */
void ff_cif_tokens_init(struct ff_cif_tokens *it, const char *name, const char *text, size_t len);

/* FF_EINPUT: a quote or a text field that does not end, or something glued to the end of a text field. */
ff_status ff_cif_tokens_next(struct ff_cif_tokens *it, struct ff_cif_token *ret) FF_MUST_USE;

/* 1-based number of the line that holds place: counts from the start, so for messages only. */
int ff_cif_tokens_line(const char *text, const char *place);

#endif
