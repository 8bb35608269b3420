/* SPDX-License-Identifier: Apache-2.0 */
#include "feature/template_hits.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "bio/lines.h"
#include "format/gzip.h"

/* --- dates --- */

/* Between min_digits and max_digits decimal digits at *p. */
static bool read_digits(const char **p, const char *end, int min_digits, int max_digits, int *ret)
{
    int n = 0;

    *ret = 0;
    while (*p < end && n < max_digits && **p >= '0' && **p <= '9') {
        *ret = *ret * 10 + (*(*p)++ - '0');
        n++;
    }
    return n >= min_digits;
}

static bool read_dash(const char **p, const char *end)
{
    return *p < end && *(*p)++ == '-';
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool ff_template_date_parse(const char *text, size_t len, int *ret)
{
    const char *p = text;
    const char *end = text + len;
    int year, month, day;

    if (!read_digits(&p, end, 4, 4, &year) || !read_dash(&p, end) || !read_digits(&p, end, 1, 2, &month)
        || !read_dash(&p, end) || !read_digits(&p, end, 1, 2, &day) || p != end)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *ret = (year * 100 + month) * 100 + day;
    return true;
}

ff_status ff_release_dates_parse(const char *name, const char *text, size_t len, struct ff_release_dates *ret)
{
    struct ff_lines it;

    *ret = (struct ff_release_dates){0};
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it)) {
        if (ff_lines_is_blank(it.line, it.len))
            continue;
        const char *colon = memchr(it.line, ':', it.len);
        const char *id = it.line;
        const char *date = colon ? colon + 1 : NULL;
        size_t id_len = colon ? (size_t)(colon - it.line) : 0;
        size_t date_len = colon ? it.len - id_len - 1 : 0;
        int value = 0;
        if (colon) {
            ff_lines_trim(&id, &id_len);
            ff_lines_trim(&date, &date_len);
        }
        if (!colon || id_len == 0 || !ff_template_date_parse(date, date_len, &value)) {
            ff_release_dates_free(ret);
            return ff_fail(FF_EINPUT, "%s:%d: expected 'PDBID: YYYY-MM-DD', found '%.*s'", name, it.number,
                           (int)(it.len < 60 ? it.len : 60), it.line);
        }
        bool added;
        int k = ff_strset_add(&ret->ids, id, id_len, &added);
        if (added)
            FF_GROW(ret->dates, k, ret->capacity);
        ret->dates[k] = value;
    }
    return FF_OK;
}

ff_status ff_release_dates_load(const char *path, struct ff_release_dates *ret)
{
    char *text;
    size_t len;

    *ret = (struct ff_release_dates){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_status st = ff_release_dates_parse(path, text, len, ret);
    free(text);
    return st;
}

void ff_release_dates_free(struct ff_release_dates *d)
{
    ff_strset_free(&d->ids);
    free(d->dates);
    *d = (struct ff_release_dates){0};
}

int ff_release_dates_find(const struct ff_release_dates *d, const char *pdb_id)
{
    int k = ff_strset_find(&d->ids, pdb_id, strlen(pdb_id));
    return k < 0 ? 0 : d->dates[k];
}

/* --- obsolete entries --- */

/* The id in the columns from start on, in lower case; shorter at the end of the line. */
static void read_id(const char *line, size_t len, size_t start, char ret[5])
{
    size_t n = 0;

    for (size_t i = start; i < len && n < 4; i++) {
        char c = line[i];
        ret[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    ret[n] = '\0';
}

void ff_obsolete_parse(const char *text, size_t len, struct ff_obsolete *ret)
{
    struct ff_lines it;

    *ret = (struct ff_obsolete){0};
    ff_lines_init(&it, text, len);
    while (ff_lines_next(&it)) {
        const char *line = it.line;
        size_t n = it.len;
        ff_lines_trim(&line, &n);
        /* "OBSLTE    31-JUL-94 116L     216L", with nothing behind the first id when the entry was removed. */
        if (!ff_lines_starts_with(line, n, "OBSLTE") || (n <= 30 && n != 24))
            continue;
        char from[5], to[5] = "";
        read_id(line, n, 20, from);
        if (n > 30)
            read_id(line, n, 29, to);
        bool added;
        int k = ff_strset_add(&ret->ids, from, strlen(from), &added);
        if (added)
            FF_GROW(ret->replacement, k, ret->capacity);
        memcpy(ret->replacement[k], to, sizeof to);
    }
}

ff_status ff_obsolete_load(const char *path, struct ff_obsolete *ret)
{
    char *text;
    size_t len;

    *ret = (struct ff_obsolete){0};
    FF_TRY(ff_gzip_read_file(path, &text, &len));
    ff_obsolete_parse(text, len, ret);
    free(text);
    return FF_OK;
}

void ff_obsolete_free(struct ff_obsolete *o)
{
    ff_strset_free(&o->ids);
    free(o->replacement);
    *o = (struct ff_obsolete){0};
}

const char *ff_obsolete_find(const struct ff_obsolete *o, const char *pdb_id)
{
    int k = ff_strset_find(&o->ids, pdb_id, strlen(pdb_id));
    return k < 0 ? NULL : o->replacement[k];
}

/* --- hits --- */

static char *without_gaps(const char *s)
{
    char *ret = ff_xmalloc(strlen(s) + 1);
    size_t n = 0;

    for (; *s; s++)
        if (*s != '-')
            ret[n++] = *s;
    ret[n] = '\0';
    return ret;
}

char *ff_template_hit_letters(const struct ff_template_hit *hit)
{
    return without_gaps(hit->hit_sequence);
}

/* Smallest entry that is not a gap; -1 when all are. */
static int32_t smallest(const int32_t *indices, int n)
{
    int32_t ret = -1;

    for (int i = 0; i < n; i++)
        if (indices[i] > -1 && (ret < 0 || indices[i] < ret))
            ret = indices[i];
    return ret;
}

bool ff_template_mapping_build(const struct ff_template_hit *hit, const char *query, struct ff_template_mapping *ret)
{
    *ret = (struct ff_template_mapping){0};
    if (hit->query[0] == '\0')
        return true;
    int32_t first_query = smallest(hit->indices_query, hit->n_query);
    int32_t first_hit = smallest(hit->indices_hit, hit->n_hit);
    if (first_query < 0 || first_hit < 0)
        return false;

    char *piece = without_gaps(hit->query);
    const char *found = strstr(query, piece);
    int64_t offset = found ? found - query : -1;
    int64_t n_query = (int64_t)strlen(query);
    char *letters = ff_template_hit_letters(hit);
    int64_t n_letter = (int64_t)strlen(letters);
    free(piece);
    free(letters);

    int n = hit->n_query < hit->n_hit ? hit->n_query : hit->n_hit;
    int *entry = ff_xmalloc(((size_t)n_query + 1) * sizeof *entry);  /* [n_query + 1] of the query residue + 1, or -1 */
    for (int64_t i = 0; i <= n_query; i++)
        entry[i] = -1;
    ret->query = ff_xmalloc((size_t)n * sizeof *ret->query);
    ret->hit = ff_xmalloc((size_t)n * sizeof *ret->hit);
    for (int i = 0; i < n; i++) {
        if (hit->indices_query[i] < 0 || hit->indices_hit[i] < 0)
            continue;
        int64_t q = (int64_t)hit->indices_query[i] - first_query + offset;
        int64_t t = (int64_t)hit->indices_hit[i] - first_hit;
        if (t >= n_letter || q >= n_query)
            continue;
        if (entry[q + 1] < 0) {
            entry[q + 1] = ret->n;
            ret->query[ret->n++] = (int32_t)q;
        }
        ret->hit[entry[q + 1]] = (int32_t)t;
    }
    free(entry);
    return true;
}

void ff_template_mapping_free(struct ff_template_mapping *m)
{
    free(m->query);
    free(m->hit);
    *m = (struct ff_template_mapping){0};
}

enum ff_template_filter ff_template_prefilter(const struct ff_template_hit *hit, const char *pdb_id, const char *query,
                                              const struct ff_release_dates *dates, int max_date)
{
    double n_query = (double)strlen(query);
    char *letters = ff_template_hit_letters(hit);
    double n_letter = (double)strlen(letters);
    bool duplicate = strstr(query, letters) != NULL && n_letter / n_query > 0.95;
    free(letters);

    if (dates && ff_release_dates_find(dates, pdb_id) > max_date)
        return FF_TEMPLATE_TOO_NEW;
    if (hit->aligned_cols / n_query <= 0.1)
        return FF_TEMPLATE_TOO_FEW;
    if (duplicate)
        return FF_TEMPLATE_DUPLICATE;
    return n_letter < 10 ? FF_TEMPLATE_TOO_SHORT : FF_TEMPLATE_PASSES;
}
