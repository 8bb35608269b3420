/* SPDX-License-Identifier: Apache-2.0
 * npy: reading and writing the header of NumPy's .npy format.
 *
 * The dict is parsed as what it is, a small Python literal: any order of keys, either quote, trailing commas, the
 * suffix L of old long integers.
 */
#include "format/npy.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* NumPy itself refuses longer ones unless told otherwise; arrays of up to 8 axes need less than 300 bytes. */
enum { MAX_HEADER = 65536 };

static const char magic[] = "\x93NUMPY";
enum { MAGIC_LEN = 6 };

static const struct {
    const char *descr;           /* without the byte order mark, or a whole word */
    enum ff_dtype dtype;
} descrs[] = {
    {"f4", FF_F32}, {"V2", FF_BF16}, {"bfloat16", FF_BF16}, {"f2", FF_F16}, {"f8", FF_F64},
    {"i4", FF_I32}, {"i8", FF_I64},  {"u1", FF_U8},         {"b1", FF_BOOL},
};

ff_status ff_npy_header_size(const void *data, size_t len, size_t *ret)
{
    const uint8_t *b = data;
    *ret = 0;
    if (len < 10 || memcmp(b, magic, MAGIC_LEN) != 0)
        return ff_fail(FF_EINPUT, "not a NumPy array: the magic bytes \"\\x93NUMPY\" are missing");
    int major = b[6], minor = b[7];
    if (major < 1 || major > 3 || minor != 0)
        return ff_fail(FF_EINPUT, "npy format version %d.%d; expected 1.0, 2.0 or 3.0", major, minor);
    size_t preamble = major == 1 ? 10 : 12;
    if (len < preamble)
        return ff_fail(FF_EINPUT, "the npy header is cut short");
    size_t dict = (size_t)b[8] | (size_t)b[9] << 8;
    if (major > 1)
        dict |= (size_t)b[10] << 16 | (size_t)b[11] << 24;
    if (dict > MAX_HEADER)
        return ff_fail(FF_EINPUT, "npy header of %zu bytes; at most %d are sensible", dict, MAX_HEADER);
    *ret = preamble + dict;
    return FF_OK;
}

/* Cursor over the dict's text. */
struct parser {
    const char *at;
    const char *end;
};

static void skip_space(struct parser *p)
{
    while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'))
        p->at++;
}

static bool accept(struct parser *p, char c)
{
    skip_space(p);
    if (p->at < p->end && *p->at == c) {
        p->at++;
        return true;
    }
    return false;
}

static bool accept_word(struct parser *p, const char *word)
{
    size_t len = strlen(word);
    skip_space(p);
    if ((size_t)(p->end - p->at) >= len && memcmp(p->at, word, len) == 0) {
        p->at += len;
        return true;
    }
    return false;
}

/* A quoted string without escapes, cut to size; false when there is none. */
static bool parse_string(struct parser *p, char *buf, size_t size)
{
    skip_space(p);
    if (p->at >= p->end || (*p->at != '\'' && *p->at != '"'))
        return false;
    char quote = *p->at++;
    size_t n = 0;
    while (p->at < p->end && *p->at != quote) {
        if (n + 1 < size)
            buf[n++] = *p->at;
        p->at++;
    }
    buf[n] = '\0';
    return accept(p, quote);
}

static ff_status syntax_error(const struct parser *p, const char *expected)
{
    int left = (int)(p->end - p->at < 24 ? p->end - p->at : 24);
    char found[25];
    for (int i = 0; i < left; i++) /* the text may be anything: keep control bytes off the screen */
        found[i] = p->at[i] >= ' ' && p->at[i] <= '~' ? p->at[i] : '?';
    found[left] = '\0';
    return ff_fail(FF_EINPUT, "damaged npy header: expected %s, found \"%s\"", expected, found);
}

static ff_status parse_shape(struct parser *p, struct ff_array *a)
{
    if (!accept(p, '('))
        return syntax_error(p, "a tuple of sizes");
    a->ndim = 0;
    while (!accept(p, ')')) {
        skip_space(p);
        if (p->at >= p->end || *p->at < '0' || *p->at > '9')
            return syntax_error(p, "a size");
        int64_t n = 0;
        for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; p->at++)
            if (__builtin_mul_overflow(n, (int64_t)10, &n) || __builtin_add_overflow(n, *p->at - '0', &n))
                return ff_fail(FF_EINPUT, "damaged npy header: a size is larger than 2^63");
        if (p->at < p->end && *p->at == 'L')
            p->at++;
        if (a->ndim == FF_ARRAY_MAX_DIM)
            return ff_fail(FF_EINPUT, "array with more than %d axes", FF_ARRAY_MAX_DIM);
        a->shape[a->ndim++] = n;
        if (!accept(p, ',')) {
            if (!accept(p, ')'))
                return syntax_error(p, "',' or ')' in the shape");
            break;
        }
    }
    return FF_OK;
}

static ff_status find_dtype(const char *descr, enum ff_dtype *ret)
{
    const char *name = descr;
    if (*name == '>')
        return ff_fail(FF_EINPUT, "big-endian data ('%s'); write the array with .astype('<%s')", descr, descr + 1);
    if (*name == '<' || *name == '|' || *name == '=')
        name++;
    for (size_t i = 0; i < sizeof descrs / sizeof *descrs; i++) {
        if (strcmp(descrs[i].descr, name) == 0) {
            *ret = descrs[i].dtype;
            return FF_OK;
        }
    }
    if (*name == 'O')
        return ff_fail(FF_EINPUT, "pickled Python objects ('%s') are not read; save plain numeric arrays", descr);
    return ff_fail(FF_EINPUT, "data type '%s'; expected float32, bfloat16 (as V2), float16, float64, int32, int64, "
                   "uint8 or bool", descr);
}

static ff_status compute_data_bytes(struct ff_npy_header *h)
{
    size_t bytes = ff_dtype_size(h->array.dtype);
    bool empty = false, overflow = false;
    for (int d = 0; d < h->array.ndim; d++) {
        empty = empty || h->array.shape[d] == 0;
        overflow = overflow || __builtin_mul_overflow(bytes, (size_t)h->array.shape[d], &bytes);
    }
    if (!empty && (overflow || bytes > INT64_MAX))
        return ff_fail(FF_EINPUT, "damaged npy header: the shape needs more than 2^63 bytes");
    h->data_bytes = empty ? 0 : bytes;
    return FF_OK;
}

ff_status ff_npy_parse_header(const void *data, size_t header_bytes, struct ff_npy_header *ret)
{
    *ret = (struct ff_npy_header){0};
    size_t size;
    FF_TRY(ff_npy_header_size(data, header_bytes, &size));
    if (size != header_bytes)
        return ff_fail(FF_EINPUT, "the npy header is cut short");
    const char *text = data;
    struct parser p = {text + (text[6] == 1 ? 10 : 12), text + header_bytes};
    bool have_descr = false, have_order = false, have_shape = false;

    if (!accept(&p, '{'))
        return syntax_error(&p, "'{'");
    while (!accept(&p, '}')) {
        char key[32], descr[64];
        if (!parse_string(&p, key, sizeof key))
            return syntax_error(&p, "a key in quotes");
        if (!accept(&p, ':'))
            return syntax_error(&p, "':'");
        if (strcmp(key, "descr") == 0) {
            skip_space(&p);
            if (p.at < p.end && *p.at == '[')
                return ff_fail(FF_EINPUT, "structured arrays are not read; save each field as an array of its own");
            if (!parse_string(&p, descr, sizeof descr))
                return syntax_error(&p, "a data type in quotes");
            FF_TRY(find_dtype(descr, &ret->array.dtype));
            have_descr = true;
        } else if (strcmp(key, "fortran_order") == 0) {
            ret->fortran_order = accept_word(&p, "True");
            if (!ret->fortran_order && !accept_word(&p, "False"))
                return syntax_error(&p, "True or False");
            have_order = true;
        } else if (strcmp(key, "shape") == 0) {
            FF_TRY(parse_shape(&p, &ret->array));
            have_shape = true;
        } else {
            return ff_fail(FF_EINPUT, "damaged npy header: unknown key '%s'", key);
        }
        if (!accept(&p, ',')) {
            if (!accept(&p, '}'))
                return syntax_error(&p, "',' or '}'");
            break;
        }
    }
    skip_space(&p);
    if (p.at != p.end)
        return syntax_error(&p, "the end of the header");
    if (!have_descr || !have_order || !have_shape)
        return ff_fail(FF_EINPUT, "damaged npy header: '%s' is missing",
                       !have_descr ? "descr" : !have_order ? "fortran_order" : "shape");
    if (ret->array.ndim < 2)
        ret->fortran_order = false;
    ret->header_bytes = header_bytes;
    return compute_data_bytes(ret);
}

void ff_npy_format_header(const struct ff_array *a, struct ff_strbuf *out)
{
    static const char *const names[] = {
        [FF_F32] = "<f4", [FF_BF16] = "|V2", [FF_F16] = "<f2", [FF_F64] = "<f8",
        [FF_I32] = "<i4", [FF_I64] = "<i8",  [FF_U8] = "|u1",  [FF_BOOL] = "|b1",
    };
    struct ff_strbuf dict = {0};
    ff_strbuf_printf(&dict, "{'descr': '%s', 'fortran_order': False, 'shape': (", names[a->dtype]);
    for (int d = 0; d < a->ndim; d++)
        ff_strbuf_printf(&dict, "%s%" PRId64, d > 0 ? ", " : "", a->shape[d]);
    ff_strbuf_puts(&dict, a->ndim == 1 ? ",), }" : "), }");
    while ((10 + dict.len + 1) % 64 != 0)
        ff_strbuf_putc(&dict, ' ');
    ff_strbuf_putc(&dict, '\n');

    ff_strbuf_append(out, magic, MAGIC_LEN);
    ff_strbuf_putc(out, 1); /* version 1.0: its 16 bits hold any shape of 8 axes */
    ff_strbuf_putc(out, 0);
    ff_strbuf_putc(out, (char)(dict.len & 0xff));
    ff_strbuf_putc(out, (char)(dict.len >> 8));
    ff_strbuf_append(out, dict.s, dict.len);
    ff_strbuf_free(&dict);
}
