/* SPDX-License-Identifier: Apache-2.0
 * zip_writer: writing archives of stored members (the reader and the format's source are in zip.c).
 *
 * A member's CRC is only known after its data, so the local header is written with 0 and patched by ending the member.
 * The zip64 form is used where a size or an offset needs it and nowhere else.
 */
#include "format/zip.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/strbuf.h"

enum {
    LOCAL_SIZE = 30,
    CRC_FIELD = 14,              /* of the local header */
    VERSION_PLAIN = 20,
    VERSION_ZIP64 = 45,
    MADE_BY_UNIX = 3 << 8,
    FLAG_UTF8 = 1 << 11,
    DATE_1980_01_01 = 1 << 5 | 1,
    EXTRA_ZIP64 = 1,
    EXTRA_ALIGN = 0xd935,        /* padding, as zipalign writes it: 2 bytes of alignment, then zeros */
};
static const uint64_t max32 = 0xffffffff; /* this value itself means "see the zip64 field" */

struct entry {
    char *name;
    uint64_t size;
    uint64_t local;              /* offset of the local header */
    uint64_t data;               /* offset of the content */
    uint32_t crc;
};

struct ff_zip_writer {
    struct ff_outfile *file;
    char *path;
    struct entry *entries;
    size_t count, capacity;
    uint64_t at;                 /* where the next byte goes; outside members the number of bytes written */
    uint64_t left;               /* of the open member */
    bool open;
};

static void put16(struct ff_strbuf *b, unsigned v)
{
    ff_strbuf_append(b, (const uint8_t[]){(uint8_t)v, (uint8_t)(v >> 8)}, 2);
}

static void put32(struct ff_strbuf *b, uint32_t v)
{
    put16(b, v & 0xffff);
    put16(b, v >> 16);
}

static void put64(struct ff_strbuf *b, uint64_t v)
{
    put32(b, (uint32_t)v);
    put32(b, (uint32_t)(v >> 32));
}

static uint32_t capped32(uint64_t v)
{
    return v < max32 ? (uint32_t)v : 0xffffffff;
}

static unsigned name_flags(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c >= 0x80)
            return FLAG_UTF8;
    return 0;
}

static ff_status write_bytes(struct ff_zip_writer *w, const void *data, size_t len)
{
    if (len > 0 && fwrite(data, 1, len, ff_outfile_stream(w->file)) != len)
        return ff_fail_errno(FF_EIO, "%s: writing failed", w->path);
    w->at += len;
    return FF_OK;
}

static ff_status seek(struct ff_zip_writer *w, uint64_t at)
{
    if (at != w->at && fseeko(ff_outfile_stream(w->file), (off_t)at, SEEK_SET) != 0)
        return ff_fail_errno(FF_EIO, errno == ESPIPE ? "%s: an archive cannot be written to a pipe"
                                                     : "%s: writing failed", w->path);
    w->at = at;
    return FF_OK;
}

static ff_status write_buf(struct ff_zip_writer *w, struct ff_strbuf *b)
{
    ff_status st = write_bytes(w, b->s, b->len);
    ff_strbuf_free(b);
    return st;
}

ff_status ff_zip_writer_open(const char *path, struct ff_zip_writer **ret)
{
    *ret = NULL;
    struct ff_outfile *file;
    FF_TRY(ff_outfile_open(path, &file));
    struct ff_zip_writer *w = FF_NEW(struct ff_zip_writer);
    w->file = file;
    w->path = ff_xstrdup(path);
    *ret = w;
    return FF_OK;
}

ff_status ff_zip_writer_begin(struct ff_zip_writer *w, const char *name, uint64_t size, int align)
{
    FF_ASSERT(!w->open && align >= 1 && align <= 4096 && (align & (align - 1)) == 0);
    size_t name_len = strlen(name);
    if (name_len > 65535)
        return ff_fail(FF_EINPUT, "%s: a member's name has %zu bytes; zip allows 65535", w->path, name_len);
    bool zip64 = size >= max32;
    struct ff_strbuf extra = {0};
    if (zip64) {
        put16(&extra, EXTRA_ZIP64);
        put16(&extra, 16);
        put64(&extra, size);
        put64(&extra, size);
    }
    uint64_t data_at = w->at + LOCAL_SIZE + name_len + extra.len;
    if (data_at % (unsigned)align != 0) {
        size_t padded = 6; /* the least that an align field takes */
        padded += (unsigned)align - 1 - (size_t)((data_at + padded - 1) % (unsigned)align);
        put16(&extra, EXTRA_ALIGN);
        put16(&extra, (unsigned)(padded - 4));
        put16(&extra, (unsigned)align);
        for (size_t i = 6; i < padded; i++)
            ff_strbuf_putc(&extra, 0);
    }

    struct ff_strbuf b = {0};
    put32(&b, 0x04034b50);
    put16(&b, zip64 ? VERSION_ZIP64 : VERSION_PLAIN);
    put16(&b, name_flags(name));
    put16(&b, 0); /* stored */
    put16(&b, 0); /* 00:00:00 */
    put16(&b, DATE_1980_01_01);
    put32(&b, 0); /* CRC, patched at the end */
    put32(&b, capped32(size));
    put32(&b, capped32(size));
    put16(&b, (unsigned)name_len);
    put16(&b, (unsigned)extra.len);
    ff_strbuf_append(&b, name, name_len);
    ff_strbuf_append(&b, extra.s, extra.len);
    ff_strbuf_free(&extra);

    FF_GROW(w->entries, w->count, w->capacity);
    w->entries[w->count++] = (struct entry){ff_xstrdup(name), size, w->at, w->at + b.len, 0};
    w->left = size;
    w->open = true;
    return write_buf(w, &b);
}

/* A CRC is linear: a member's is the sum of those of its pieces, each carried over the bytes behind the piece. */
ff_status ff_zip_writer_put(struct ff_zip_writer *w, uint64_t at, const void *data, size_t len)
{
    FF_ASSERT(w->open && len <= w->left && at <= w->entries[w->count - 1].size - len);
    struct entry *e = &w->entries[w->count - 1];
    uLong crc = crc32_z(0, data, len);
    e->crc ^= (uint32_t)crc32_combine(crc, 0, (z_off_t)(e->size - at - len));
    w->left -= len;
    FF_TRY(seek(w, e->data + at));
    return write_bytes(w, data, len);
}

ff_status ff_zip_writer_append(struct ff_zip_writer *w, const void *data, size_t len)
{
    FF_ASSERT(w->open);
    return ff_zip_writer_put(w, w->entries[w->count - 1].size - w->left, data, len);
}

ff_status ff_zip_writer_end(struct ff_zip_writer *w)
{
    FF_ASSERT(w->open && w->left == 0);
    const struct entry *e = &w->entries[w->count - 1];
    w->open = false;
    if (e->crc != 0) {
        struct ff_strbuf b = {0};
        put32(&b, e->crc);
        ff_status st = seek(w, e->local + CRC_FIELD);
        if (st == FF_OK)
            st = write_buf(w, &b);
        ff_strbuf_free(&b);
        FF_TRY(st);
    }
    return seek(w, e->data + e->size);
}

static void put_central(struct ff_strbuf *b, const struct entry *e)
{
    struct ff_strbuf extra = {0};
    if (e->size >= max32) {
        put64(&extra, e->size);
        put64(&extra, e->size);
    }
    if (e->local >= max32)
        put64(&extra, e->local);
    bool zip64 = extra.len > 0;
    put32(b, 0x02014b50);
    put16(b, MADE_BY_UNIX | (zip64 ? VERSION_ZIP64 : VERSION_PLAIN));
    put16(b, zip64 ? VERSION_ZIP64 : VERSION_PLAIN);
    put16(b, name_flags(e->name));
    put16(b, 0);
    put16(b, 0);
    put16(b, DATE_1980_01_01);
    put32(b, e->crc);
    put32(b, capped32(e->size));
    put32(b, capped32(e->size));
    put16(b, (unsigned)strlen(e->name));
    put16(b, zip64 ? (unsigned)extra.len + 4 : 0);
    put16(b, 0);                   /* comment */
    put16(b, 0);                   /* disk */
    put16(b, 0);                   /* internal attributes */
    put32(b, (uint32_t)0100644 << 16); /* regular file, rw-r--r-- */
    put32(b, capped32(e->local));
    ff_strbuf_puts(b, e->name);
    if (zip64) {
        put16(b, EXTRA_ZIP64);
        put16(b, (unsigned)extra.len);
        ff_strbuf_append(b, extra.s, extra.len);
    }
    ff_strbuf_free(&extra);
}

static ff_status write_directory(struct ff_zip_writer *w)
{
    struct ff_strbuf b = {0};
    for (size_t i = 0; i < w->count; i++)
        put_central(&b, &w->entries[i]);
    uint64_t offset = w->at, size = b.len, end64 = offset + size;
    if (w->count >= 0xffff || offset >= max32 || size >= max32) {
        put32(&b, 0x06064b50);
        put64(&b, 44); /* bytes that follow */
        put16(&b, MADE_BY_UNIX | VERSION_ZIP64);
        put16(&b, VERSION_ZIP64);
        put32(&b, 0);
        put32(&b, 0);
        put64(&b, w->count);
        put64(&b, w->count);
        put64(&b, size);
        put64(&b, offset);
        put32(&b, 0x07064b50); /* locator */
        put32(&b, 0);
        put64(&b, end64);
        put32(&b, 1);
    }
    unsigned count = w->count < 0xffff ? (unsigned)w->count : 0xffff;
    put32(&b, 0x06054b50);
    put16(&b, 0);
    put16(&b, 0);
    put16(&b, count);
    put16(&b, count);
    put32(&b, capped32(size));
    put32(&b, capped32(offset));
    put16(&b, 0);
    return write_buf(w, &b);
}

static void free_writer(struct ff_zip_writer *w)
{
    for (size_t i = 0; i < w->count; i++)
        free(w->entries[i].name);
    free(w->entries);
    free(w->path);
    free(w);
}

ff_status ff_zip_writer_commit(struct ff_zip_writer *w)
{
    FF_ASSERT(!w->open);
    ff_status st = write_directory(w);
    if (st == FF_OK)
        st = ff_outfile_commit(w->file);
    else
        ff_outfile_abort(w->file);
    free_writer(w);
    return st;
}

void ff_zip_writer_abort(struct ff_zip_writer *w)
{
    if (!w)
        return;
    ff_outfile_abort(w->file);
    free_writer(w);
}
