/* SPDX-License-Identifier: Apache-2.0
 * zip: reading archives (the writer is zip_writer.c).
 *
 * Everything the file says is checked before it is used: offsets against the file's length, sizes against what deflate
 * can reach, so that a damaged or hostile file ends in a message and never in a wild read or a huge allocation.
 * Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3.
 */
#include "format/zip.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"

enum {
    LOCAL_SIZE = 30,             /* fixed parts of the records */
    CENTRAL_SIZE = 46,
    END_SIZE = 22,
    LOCATOR64_SIZE = 20,
    END64_SIZE = 56,
    MAX_COMMENT = 65535,
    FLAG_ENCRYPTED = 1,
    STORED = 0,
    DEFLATED = 8,
    /* Read in pieces that stay in the cache between the copy out of the kernel and the CRC. */
    PIECE = 256 * 1024,
};

struct ff_zip {
    char *path;
    int fd;
    uint64_t file_size;
    struct ff_zip_member *members;
    int count;
};

/* ---- little-endian fields ---- */

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
    return (uint64_t)get32(p) | (uint64_t)get32(p + 4) << 32;
}

/* Exactly len bytes at offset; offset + len must lie inside the file. */
static ff_status read_at(const struct ff_zip *z, uint64_t offset, void *dst, size_t len)
{
    uint8_t *to = dst;
    while (len > 0) {
        ssize_t n = pread(z->fd, to, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return ff_fail_errno(FF_EIO, "%s: cannot read", z->path);
        if (n == 0)
            return ff_fail(FF_EIO, "%s: the file became shorter while it was read", z->path);
        to += n;
        offset += (uint64_t)n;
        len -= (size_t)n;
    }
    return FF_OK;
}

/* ---- the directory ---- */

struct directory {
    uint64_t offset, size, count;
    uint64_t end;                /* position of the record that describes it: the directory ends here at the latest */
};

static ff_status find_end_record(const struct ff_zip *z, uint8_t record[END_SIZE], uint64_t *ret_pos)
{
    uint64_t tail = z->file_size < END_SIZE + MAX_COMMENT ? z->file_size : END_SIZE + MAX_COMMENT;
    uint64_t base = z->file_size - tail;
    uint8_t *buf = ff_xmalloc(tail);
    ff_status st = read_at(z, base, buf, tail);
    bool found = false;
    for (uint64_t back = END_SIZE; st == FF_OK && back <= tail; back++) {
        const uint8_t *p = buf + (tail - back);
        if (get32(p) == 0x06054b50 && get16(p + 20) <= back - END_SIZE) { /* the comment fits */
            memcpy(record, p, END_SIZE);
            *ret_pos = base + (tail - back);
            found = true;
            break;
        }
    }
    bool looks_like_zip = st == FF_OK && !found && base == 0 && tail >= 4 && get32(buf) == 0x04034b50;
    free(buf);
    FF_TRY(st);
    if (found)
        return FF_OK;
    uint8_t start[4];
    if (base > 0) {
        FF_TRY(read_at(z, 0, start, sizeof start));
        looks_like_zip = get32(start) == 0x04034b50;
    }
    if (looks_like_zip)
        return ff_fail(FF_EINPUT, "%s: the archive is truncated (%" PRIu64 " bytes, no directory at the end); "
                       "fetch or write the file again", z->path, z->file_size);
    return ff_fail(FF_EINPUT, "%s: not a zip (.npz) archive: it does not begin with 'PK'; check that it is the file "
                   "that was meant", z->path);
}

static ff_status find_directory(const struct ff_zip *z, struct directory *dir)
{
    uint8_t end[END_SIZE] = {0}, locator[LOCATOR64_SIZE], end64[END64_SIZE];
    uint64_t pos = 0;
    FF_TRY(find_end_record(z, end, &pos));
    uint32_t disk = get16(end + 4), disk_start = get16(end + 6);
    dir->count = get16(end + 10);
    dir->size = get32(end + 12);
    dir->offset = get32(end + 16);
    dir->end = pos;
    if (pos >= LOCATOR64_SIZE) {
        FF_TRY(read_at(z, pos - LOCATOR64_SIZE, locator, sizeof locator));
        if (get32(locator) == 0x07064b50) {
            uint64_t at = get64(locator + 8);
            if (at > pos - LOCATOR64_SIZE || pos - LOCATOR64_SIZE - at < END64_SIZE)
                return ff_fail(FF_EINPUT, "%s: damaged archive: the zip64 record is outside the file", z->path);
            FF_TRY(read_at(z, at, end64, sizeof end64));
            if (get32(end64) != 0x06064b50)
                return ff_fail(FF_EINPUT, "%s: damaged archive: no zip64 record where the locator points", z->path);
            disk = get32(end64 + 16);
            disk_start = get32(end64 + 20);
            dir->count = get64(end64 + 32);
            dir->size = get64(end64 + 40);
            dir->offset = get64(end64 + 48);
            dir->end = at;
        }
    }
    if (disk != 0 || disk_start != 0)
        return ff_fail(FF_EINPUT, "%s: archives split over several files are not read", z->path);
    if (dir->offset > dir->end || dir->size > dir->end - dir->offset)
        return ff_fail(FF_EINPUT, "%s: damaged archive: the directory (%" PRIu64 " bytes at %" PRIu64
                       ") does not fit into the file of %" PRIu64 " bytes; the file is truncated or has extra bytes",
                       z->path, dir->size, dir->offset, z->file_size);
    if (dir->count > dir->size / CENTRAL_SIZE)
        return ff_fail(FF_EINPUT, "%s: damaged archive: %" PRIu64 " members in a directory of %" PRIu64 " bytes",
                       z->path, dir->count, dir->size);
    return FF_OK;
}

/* Replaces the fields that say "see the zip64 extra field"; they stand there in this order. */
static bool apply_zip64(const uint8_t *extra, size_t len, struct ff_zip_member *m, uint64_t *local)
{
    const uint64_t see_extra = 0xffffffff;
    bool need_size = m->size == see_extra, need_packed = m->packed_size == see_extra, need_local = *local == see_extra;
    if (!need_size && !need_packed && !need_local)
        return true;
    while (len >= 4) {
        size_t id = get16(extra), n = get16(extra + 2);
        extra += 4;
        len -= 4;
        if (n > len)
            return false;
        if (id == 1) {
            size_t want = 8 * ((size_t)need_size + need_packed + need_local);
            if (n < want)
                return false;
            if (need_size) {
                m->size = get64(extra);
                extra += 8;
            }
            if (need_packed) {
                m->packed_size = get64(extra);
                extra += 8;
            }
            if (need_local)
                *local = get64(extra);
            return true;
        }
        extra += n;
        len -= n;
    }
    return true; /* no zip64 field: the size is 0xffffffff by chance */
}

/* Follows the directory's pointer to the local header and learns where the data are. */
static ff_status locate_data(const struct ff_zip *z, struct ff_zip_member *m, uint64_t local, uint64_t limit)
{
    uint8_t header[LOCAL_SIZE];
    if (local > limit || limit - local < LOCAL_SIZE)
        return ff_fail(FF_EINPUT, "%s: member '%s': damaged archive: its header is outside the file", z->path, m->name);
    FF_TRY(read_at(z, local, header, sizeof header));
    if (get32(header) != 0x04034b50 || get16(header + 8) != m->method)
        return ff_fail(FF_EINPUT, "%s: member '%s': damaged archive: no header where the directory points", z->path,
                       m->name);
    m->offset = local + LOCAL_SIZE + get16(header + 26) + get16(header + 28);
    if (m->offset > limit || m->packed_size > limit - m->offset)
        return ff_fail(FF_EINPUT, "%s: member '%s': truncated: %" PRIu64 " bytes at %" PRIu64 " go beyond the data",
                       z->path, m->name, m->packed_size, m->offset);
    return FF_OK;
}

static ff_status check_member(const struct ff_zip *z, const struct ff_zip_member *m, unsigned flags)
{
    if (flags & FLAG_ENCRYPTED)
        return ff_fail(FF_EINPUT, "%s: member '%s' is encrypted", z->path, m->name);
    if (m->method != STORED && m->method != DEFLATED)
        return ff_fail(FF_EINPUT, "%s: member '%s': compression method %d; expected stored (0) or deflated (8)",
                       z->path, m->name, m->method);
    if (m->method == STORED && m->size != m->packed_size)
        return ff_fail(FF_EINPUT, "%s: member '%s': damaged archive: stored, but %" PRIu64 " bytes take %" PRIu64,
                       z->path, m->name, m->size, m->packed_size);
    /* Deflate makes at most 258 bytes of two bits. */
    if (m->method == DEFLATED && m->size / 1032 > m->packed_size)
        return ff_fail(FF_EINPUT, "%s: member '%s': damaged archive: %" PRIu64 " bytes cannot come from %" PRIu64,
                       z->path, m->name, m->size, m->packed_size);
    return FF_OK;
}

static ff_status parse_directory(struct ff_zip *z, const struct directory *dir, const uint8_t *buf)
{
    uint64_t pos = 0;
    for (uint64_t i = 0; i < dir->count; i++) {
        if (dir->size - pos < CENTRAL_SIZE || get32(buf + pos) != 0x02014b50)
            return ff_fail(FF_EINPUT, "%s: damaged archive: directory entry %" PRIu64 " of %" PRIu64 " is not one",
                           z->path, i + 1, dir->count);
        const uint8_t *p = buf + pos;
        size_t name_len = get16(p + 28), extra_len = get16(p + 30), comment_len = get16(p + 32);
        if (dir->size - pos - CENTRAL_SIZE < name_len + extra_len + comment_len)
            return ff_fail(FF_EINPUT, "%s: damaged archive: directory entry %" PRIu64 " is cut short", z->path,
                           i + 1);
        const char *name = (const char *)p + CENTRAL_SIZE;
        if (memchr(name, '\0', name_len))
            return ff_fail(FF_EINPUT, "%s: damaged archive: the name of member %" PRIu64 " holds a NUL", z->path,
                           i + 1);
        struct ff_zip_member *m = &z->members[z->count++];
        *m = (struct ff_zip_member){
            .name = ff_xstrndup(name, name_len),
            .method = get16(p + 10),
            .crc = get32(p + 16),
            .packed_size = get32(p + 20),
            .size = get32(p + 24),
        };
        uint64_t local = get32(p + 42);
        if (!apply_zip64(p + CENTRAL_SIZE + name_len, extra_len, m, &local))
            return ff_fail(FF_EINPUT, "%s: member '%s': damaged zip64 field", z->path, m->name);
        FF_TRY(check_member(z, m, get16(p + 8)));
        FF_TRY(locate_data(z, m, local, dir->offset));
        pos += CENTRAL_SIZE + name_len + extra_len + comment_len;
    }
    return FF_OK;
}

ff_status ff_zip_open(const char *path, struct ff_zip **ret)
{
    *ret = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ff_fail_errno(errno == ENOENT || errno == ENOTDIR ? FF_EMISSING : FF_EIO, "%s: cannot open", path);
    struct ff_zip *z = FF_NEW(struct ff_zip);
    z->path = ff_xstrdup(path);
    z->fd = fd;
    uint8_t *buf = NULL;
    struct stat st_file;
    struct directory dir = {0};
    ff_status st;
    if (fstat(fd, &st_file) != 0) {
        st = ff_fail_errno(FF_EIO, "%s: cannot read", path);
        goto fail;
    }
    if (!S_ISREG(st_file.st_mode)) {
        st = ff_fail(FF_EIO, "%s: not a regular file; a zip archive must be seekable", path);
        goto fail;
    }
    z->file_size = (uint64_t)st_file.st_size;
    FF_TRY_GOTO(st, find_directory(z, &dir), fail);
    buf = ff_xmalloc(dir.size);
    FF_TRY_GOTO(st, read_at(z, dir.offset, buf, dir.size), fail);
    z->members = FF_NEW_ARRAY(struct ff_zip_member, dir.count);
    FF_TRY_GOTO(st, parse_directory(z, &dir, buf), fail);
    free(buf);
    *ret = z;
    return FF_OK;
fail:
    free(buf);
    ff_zip_close(z);
    return st;
}

void ff_zip_close(struct ff_zip *z)
{
    if (!z)
        return;
    for (int i = 0; i < z->count; i++)
        free(z->members[i].name);
    free(z->members);
    close(z->fd);
    free(z->path);
    free(z);
}

const char *ff_zip_path(const struct ff_zip *z)
{
    return z->path;
}

int ff_zip_count(const struct ff_zip *z)
{
    return z->count;
}

const struct ff_zip_member *ff_zip_member(const struct ff_zip *z, int i)
{
    FF_ASSERT(i >= 0 && i < z->count);
    return &z->members[i];
}

int ff_zip_find(const struct ff_zip *z, const char *name)
{
    for (int i = 0; i < z->count; i++)
        if (strcmp(z->members[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- member data ---- */

/* Streams the content in order: fill gives the next len bytes, copied from the file or inflated. */
struct source {
    const struct ff_zip *z;
    const struct ff_zip_member *m;
    uint64_t at;                 /* packed bytes consumed */
    uint8_t *packed;             /* PIECE bytes, deflated members only */
    z_stream inflate;
    bool ended;                  /* inflate has seen the end of its stream */
};

static ff_status source_open(struct source *s, const struct ff_zip *z, const struct ff_zip_member *m)
{
    *s = (struct source){.z = z, .m = m};
    if (m->method == DEFLATED) {
        s->packed = ff_xmalloc(PIECE);
        if (inflateInit2(&s->inflate, -MAX_WBITS) != Z_OK) {
            free(s->packed);
            return ff_fail(FF_EMEMORY, "%s: member '%s': zlib could not start", z->path, m->name);
        }
    }
    return FF_OK;
}

static void source_close(struct source *s)
{
    if (s->m->method == DEFLATED) {
        inflateEnd(&s->inflate);
        free(s->packed);
    }
}

static ff_status source_fill(struct source *s, void *dst, size_t len)
{
    if (s->m->method == STORED) {
        FF_TRY(read_at(s->z, s->m->offset + s->at, dst, len));
        s->at += len;
        return FF_OK;
    }
    s->inflate.next_out = dst;
    s->inflate.avail_out = (uInt)len; /* at most PIECE */
    while (s->inflate.avail_out > 0) {
        if (s->ended)
            return ff_fail(FF_EINPUT, "%s: member '%s': damaged: less data than the directory says", s->z->path,
                           s->m->name);
        if (s->inflate.avail_in == 0) {
            uint64_t left = s->m->packed_size - s->at;
            size_t n = left < PIECE ? (size_t)left : PIECE;
            FF_TRY(read_at(s->z, s->m->offset + s->at, s->packed, n));
            s->at += n;
            s->inflate.next_in = s->packed;
            s->inflate.avail_in = (uInt)n;
        }
        int rc = inflate(&s->inflate, Z_NO_FLUSH);
        s->ended = rc == Z_STREAM_END;
        /* Z_BUF_ERROR: input is used up and there is no more of it. */
        if (rc != Z_OK && rc != Z_STREAM_END)
            return ff_fail(FF_EINPUT, "%s: member '%s': damaged compressed data", s->z->path, s->m->name);
    }
    return FF_OK;
}

static ff_status read_span(struct source *s, void *dst, size_t len, uint32_t *crc)
{
    uint8_t *to = dst, *scratch = dst ? NULL : ff_xmalloc(PIECE);
    ff_status st = FF_OK;
    while (len > 0 && st == FF_OK) {
        size_t n = len < PIECE ? len : PIECE;
        uint8_t *piece = dst ? to : scratch;
        st = source_fill(s, piece, n);
        if (st == FF_OK)
            *crc = (uint32_t)crc32(*crc, piece, (uInt)n);
        if (dst)
            to += n;
        len -= n;
    }
    free(scratch);
    return st;
}

ff_status ff_zip_peek(const struct ff_zip *z, int i, void *dst, size_t len)
{
    const struct ff_zip_member *m = ff_zip_member(z, i);
    FF_ASSERT(len <= m->size);
    struct source s;
    uint32_t crc = 0;
    FF_TRY(source_open(&s, z, m));
    ff_status st = read_span(&s, dst, len, &crc);
    source_close(&s);
    return st;
}

ff_status ff_zip_read(const struct ff_zip *z, int i, void *head, size_t head_len, void *dst, size_t len)
{
    const struct ff_zip_member *m = ff_zip_member(z, i);
    FF_ASSERT(head_len <= m->size && len == m->size - head_len);
    struct source s;
    uint32_t crc = 0;
    FF_TRY(source_open(&s, z, m));
    ff_status st = read_span(&s, head, head_len, &crc);
    if (st == FF_OK)
        st = read_span(&s, dst, len, &crc);
    source_close(&s);
    FF_TRY(st);
    if (crc != m->crc)
        return ff_fail(FF_EINPUT, "%s: member '%s': the data are damaged (CRC %08" PRIx32 ", expected %08" PRIx32
                       "); fetch or write the file again", z->path, m->name, crc, m->crc);
    return FF_OK;
}
