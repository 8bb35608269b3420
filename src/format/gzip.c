/* SPDX-License-Identifier: Apache-2.0
 * gzip: whole files that may be compressed (RFC 1952; several members in a row, as bgzip and cat make them).
 */
#include "format/gzip.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strbuf.h"

static bool has_magic(const char *data, size_t len)
{
    return len >= 2 && (uint8_t)data[0] == 0x1f && (uint8_t)data[1] == 0x8b;
}

/* The tail of a tape or of a padded block: zeros only. */
static bool is_padding(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (data[i] != 0)
            return false;
    return true;
}

/* Inflates one member from the front of data; *used is what it took. */
static ff_status inflate_member(const char *path, const char *data, size_t len, size_t *used, struct ff_strbuf *out)
{
    enum { STEP = 1 << 20 };
    z_stream s = {0};
    if (inflateInit2(&s, MAX_WBITS + 16) != Z_OK) /* + 16: a gzip header and trailer */
        return ff_fail(FF_EMEMORY, "%s: zlib could not start", path);
    ff_status st = FF_OK;
    int rc = Z_OK;
    size_t fed = 0;
    while (rc != Z_STREAM_END && st == FF_OK) {
        if (s.avail_in == 0 && fed < len) { /* zlib counts in 32 bits */
            size_t n = len - fed < (1u << 30) ? len - fed : 1u << 30;
            s.next_in = (Bytef *)(uintptr_t)(data + fed);
            s.avail_in = (uInt)n;
            fed += n;
        }
        ff_strbuf_reserve(out, STEP);
        s.next_out = (Bytef *)out->s + out->len;
        s.avail_out = STEP;
        rc = inflate(&s, Z_NO_FLUSH);
        out->len += STEP - s.avail_out;
        out->s[out->len] = '\0';
        if (rc == Z_BUF_ERROR || (rc == Z_OK && s.avail_in == 0 && fed == len && s.avail_out > 0))
            st = ff_fail(FF_EINPUT, "%s: the gzip data are truncated; fetch or write the file again", path);
        else if (rc != Z_OK && rc != Z_STREAM_END)
            st = ff_fail(FF_EINPUT, "%s: the gzip data are damaged (%s); fetch or write the file again", path,
                         s.msg ? s.msg : "zlib error");
    }
    *used = fed - s.avail_in;
    inflateEnd(&s);
    return st;
}

ff_status ff_gzip_read_file(const char *path, char **ret, size_t *ret_len)
{
    char *data;
    size_t len;
    *ret = NULL;
    *ret_len = 0;
    FF_TRY(ff_file_read(path, &data, &len));
    if (!has_magic(data, len)) {
        *ret = data;
        *ret_len = len;
        return FF_OK;
    }
    struct ff_strbuf out = {0};
    ff_status st = FF_OK;
    size_t at = 0, used = 0;
    while (st == FF_OK && at < len && !is_padding(data + at, len - at)) {
        if (!has_magic(data + at, len - at)) {
            st = ff_fail(FF_EINPUT, "%s: other bytes follow the gzip data; fetch or write the file again", path);
            break;
        }
        st = inflate_member(path, data + at, len - at, &used, &out);
        at += used;
    }
    free(data);
    if (st != FF_OK) {
        ff_strbuf_free(&out);
        return st;
    }
    *ret_len = out.len;
    *ret = ff_strbuf_detach(&out);
    return FF_OK;
}
