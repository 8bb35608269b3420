/* SPDX-License-Identifier: Apache-2.0
 * fasta_stream: the records of a large FASTA file, one after the other.
 */
#include "bio/fasta_stream.h"

#include <string.h>
#include <zlib.h>

#include "base/strbuf.h"

enum { PIECE = 1 << 20 };

const char *ff_fasta_record_end(const char *text, const char *end)
{
    for (const char *q = text + 1; q < end && (q = memchr(q, '>', (size_t)(end - q))) != NULL; q++)
        if (q[-1] == '\n')
            return q;
    return NULL;
}

/* What zlib says is wrong; it reads what is not compressed as it is. */
static ff_status check_stream(const char *path, gzFile file)
{
    int rc;
    const char *message = gzerror(file, &rc);
    if (rc == Z_ERRNO)
        return ff_fail_errno(FF_EIO, "%s cannot be read to its end", path);
    if (rc == Z_BUF_ERROR)
        return ff_fail(FF_EINPUT, "%s: the gzip data are truncated; fetch or write the file again", path);
    if (rc != Z_OK && rc != Z_STREAM_END)
        return ff_fail(FF_EINPUT, "%s: the gzip data are damaged (%s); fetch or write the file again", path, message);
    return FF_OK;
}

/* text holds what was read and not yet taken, and begins at byte place. */
static ff_status stream_records(const char *path, gzFile file, struct ff_strbuf *text, ff_fasta_take take, void *user)
{
    int64_t place = 0;
    size_t looked = 0;           /* at so much of text for the end of a record that is longer than a piece */
    for (bool more = true; more;) {
        ff_strbuf_reserve(text, PIECE);
        int n = gzread(file, text->s + text->len, PIECE);
        FF_TRY(check_stream(path, file));
        more = n > 0;
        text->len += (size_t)(n > 0 ? n : 0);
        const char *record = text->s, *end = text->s + text->len;
        if (place == 0 && text->len > 0 && *record != '>')
            return ff_fail(FF_EINPUT, "%s does not begin with '>'; expected sequences in FASTA format", path);
        while (record < end) {
            const char *next = ff_fasta_record_end(record + looked, end);
            looked = 0;
            if (next == NULL && more)
                break;
            next = next != NULL ? next : end;
            if (!take(user, place, record, (size_t)(next - record)))
                return FF_OK;
            place += next - record;
            record = next;
        }
        text->len = (size_t)(end - record);
        memmove(text->s, record, text->len);
        looked = text->len > 0 ? text->len - 1 : 0;
    }
    return FF_OK;
}

ff_status ff_fasta_stream(const char *path, ff_fasta_take take, void *user)
{
    gzFile file = gzopen(path, "rb");
    if (file == NULL)
        return ff_fail_errno(FF_EMISSING, "%s cannot be opened", path);
    gzbuffer(file, 1 << 17);
    struct ff_strbuf text = {0};
    ff_status st = stream_records(path, file, &text, take, user);
    ff_strbuf_free(&text);
    gzclose(file);
    return st;
}
