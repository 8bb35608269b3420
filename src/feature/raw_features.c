/* SPDX-License-Identifier: Apache-2.0
 * raw_features: one chain's sequence, alignments and templates as named arrays.
 */
#include "feature/raw_features.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "base/strset.h"
#include "bio/identifiers.h"
#include "bio/residue.h"
#include "feature/feature_check.h"

/* ---- making ------------------------------------------------------------------------------------------------------ */

static void add_sequence_features(const char *sequence, const char *description, struct ff_arrays *ret)
{
    int64_t n = (int64_t)strlen(sequence);
    int32_t *aatype = ff_arrays_add(ret, "aatype", FF_I32, 2, (int64_t[]){n, FF_N_RESTYPE_X})->data; /* [n, 21] */
    for (int64_t i = 0; i < n; i++) {
        int type = ff_residue_from_letter(sequence[i]);
        aatype[i * FF_N_RESTYPE_X + (type < FF_RESTYPE_X ? type : FF_RESTYPE_X)] = 1;
    }
    ff_arrays_add(ret, "between_segment_residues", FF_I32, 1, &n);
    ff_arrays_add_text(ret, "domain_name", description, strlen(description));
    int32_t *index = ff_arrays_add(ret, "residue_index", FF_I32, 1, &n)->data;
    int32_t *length = ff_arrays_add(ret, "seq_length", FF_I32, 1, &n)->data;
    for (int64_t i = 0; i < n; i++) {
        index[i] = (int32_t)i;
        length[i] = (int32_t)n;
    }
    ff_arrays_add_text(ret, "sequence", sequence, (size_t)n);
}

struct row_ref {
    int msa, row;
};

/* Rows that no earlier row equals; returns their number. */
static int64_t find_unique_rows(int n_msa, const struct ff_msa *const *msas, struct row_ref *ret /* [all rows] */)
{
    struct ff_strset seen = {0};
    int64_t count = 0;
    for (int m = 0; m < n_msa; m++) {
        for (int r = 0; r < msas[m]->n_row; r++) {
            bool added;
            ff_strset_add(&seen, ff_msa_row(msas[m], r), (size_t)msas[m]->n_col, &added);
            if (added)
                ret[count++] = (struct row_ref){m, r};
        }
    }
    ff_strset_free(&seen);
    return count;
}

static ff_status encode_row(const struct ff_msa *m, int row, int msa_number, int32_t *ret /* [n_col] */)
{
    const char *letters = ff_msa_row(m, row);
    for (int i = 0; i < m->n_col; i++) {
        ret[i] = ff_msa_hhblits_id(letters[i]);
        if (ret[i] < 0)
            return ff_fail(FF_EINPUT,
                           "alignment %d, row %d (%s): byte 0x%02x at column %d is no residue letter and no gap",
                           msa_number, row + 1, m->descriptions[row], (unsigned char)letters[i], i + 1);
    }
    return FF_OK;
}

/* All rows of one alignment. */
static int64_t take_all_rows(const struct ff_msa *msa, struct row_ref *ret /* [n_row] */)
{
    for (int r = 0; r < msa->n_row; r++)
        ret[r] = (struct row_ref){0, r};
    return msa->n_row;
}

static bool has_residue(const struct ff_msa *m, int row)
{
    const char *letters = ff_msa_row(m, row);
    for (int i = 0; i < m->n_col; i++)
        if (letters[i] != '-')
            return true;
    return false;
}

/* deletion_matrix_int, msa and msa_species_identifiers, with suffix behind the names; *ret_count rows. paired: the rows
 * of one alignment as they are, named by their numbers. */
static ff_status add_rows(int n_msa, const struct ff_msa *const *msas, int64_t n, const char *suffix, bool paired,
                          struct ff_arrays *ret, int64_t *ret_count)
{
    static const char *const bases[] = {"deletion_matrix_int", "msa", "msa_species_identifiers"};
    char *names[3];
    for (int i = 0; i < 3; i++)
        names[i] = ff_xasprintf("%s%s", bases[i], suffix);
    int64_t total = 0;
    for (int m = 0; m < n_msa; m++)
        total += msas[m]->n_row;
    struct row_ref *rows = FF_NEW_ARRAY(struct row_ref, (size_t)total);
    int64_t count = paired ? take_all_rows(msas[0], rows) : find_unique_rows(n_msa, msas, rows);

    int32_t *deletions = ff_arrays_add(ret, names[0], FF_I32, 2, (int64_t[]){count, n})->data;
    int32_t *msa = ff_arrays_add(ret, names[1], FF_I32, 2, (int64_t[]){count, n})->data;
    struct ff_strbuf species = {0};
    ff_status st = FF_OK;
    for (int64_t r = 0; r < count && st == FF_OK; r++) {
        const struct ff_msa *m = msas[rows[r].msa];
        int row = rows[r].row;
        char name[FF_SPECIES_SIZE];
        st = encode_row(m, row, rows[r].msa + 1, msa + r * n);
        ff_msa_deletions(m, row, deletions + r * n);
        if (r > 0)
            ff_strbuf_putc(&species, '\n');
        if (!paired)
            ff_strbuf_puts(&species, ff_identifiers_species(m->descriptions[row], name));
        else if (r > 0 && has_residue(m, row))
            ff_strbuf_printf(&species, "%09" PRId64, r);
    }
    ff_arrays_add_text(ret, names[2], ff_strbuf_cstr(&species), species.len);
    ff_strbuf_free(&species);
    free(rows);
    for (int i = 0; i < 3; i++)
        free(names[i]);
    *ret_count = count;
    return st;
}

/* Every alignment has rows and the query's length. */
static ff_status check_sizes(int n_msa, const struct ff_msa *const *msas, int64_t n)
{
    for (int m = 0; m < n_msa; m++) {
        if (msas[m]->n_row < 1)
            return ff_fail(FF_EINPUT, "alignment %d has no rows; its first row must be the query", m + 1);
        if (msas[m]->n_col != n)
            return ff_fail(FF_EINPUT, "alignment %d has %d columns, but the query has %" PRId64 " residues", m + 1,
                           msas[m]->n_col, n);
    }
    return FF_OK;
}

ff_status ff_raw_features_make(const char *sequence, const char *description, int n_msa,
                               const struct ff_msa *const *msas, const struct ff_arrays *templates,
                               struct ff_arrays *ret)
{
    *ret = (struct ff_arrays){0};
    int64_t n = (int64_t)strlen(sequence), count = 0;
    if (n_msa < 1)
        return ff_fail(FF_EINPUT, "no alignment was given; the query alone is one of a single row");
    FF_TRY(check_sizes(n_msa, msas, n));
    add_sequence_features(sequence, description, ret);
    ff_status st = add_rows(n_msa, msas, n, "", false, ret, &count);
    int32_t *alignments = ff_arrays_add(ret, "num_alignments", FF_I32, 1, &n)->data;
    for (int64_t i = 0; i < n; i++)
        alignments[i] = (int32_t)count;
    for (int i = 0; st == FF_OK && templates != NULL && i < templates->count; i++) {
        const struct ff_array *t = &templates->items[i];
        struct ff_array *copy = ff_arrays_add(ret, t->name, t->dtype, t->ndim, t->shape);
        if (ff_array_bytes(t) > 0)
            memcpy(copy->data, t->data, ff_array_bytes(t));
    }
    if (st == FF_OK)
        st = ff_raw_features_check("features", ret);
    if (st != FF_OK)
        ff_arrays_free(ret);
    return st;
}

static ff_status add_pairing(struct ff_arrays *raw, const struct ff_msa *msa, bool paired)
{
    const struct ff_array *index = ff_arrays_find(raw, "residue_index");
    FF_ASSERT(index != NULL);
    int64_t n = index->shape[0], count = 0;
    FF_TRY(check_sizes(1, &msa, n));
    return add_rows(1, &msa, n, "_all_seq", paired, raw, &count);
}

ff_status ff_raw_features_add_pairing(struct ff_arrays *raw, const struct ff_msa *msa)
{
    return add_pairing(raw, msa, false);
}

ff_status ff_raw_features_add_paired(struct ff_arrays *raw, const struct ff_msa *msa)
{
    return add_pairing(raw, msa, true);
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static const struct ff_feature_spec chain_table[] = {
    {"aatype", FF_I32, "N 21", 0, 1, FF_FEATURE_REQUIRED},
    {"between_segment_residues", FF_I32, "N", 0, INT32_MAX, FF_FEATURE_OPTIONAL},
    {"domain_name", FF_U8, "D", 0, 0, FF_FEATURE_OPTIONAL},
    {"residue_index", FF_I32, "N", INT32_MIN, INT32_MAX, FF_FEATURE_REQUIRED},
    {"seq_length", FF_I32, "N", 1, INT32_MAX, FF_FEATURE_REQUIRED},
    {"sequence", FF_U8, "N", 0, 0, FF_FEATURE_OPTIONAL},
    {"msa", FF_I32, "M N", 0, 21, FF_FEATURE_REQUIRED},
    {"deletion_matrix_int", FF_I32, "M N", 0, INT32_MAX, FF_FEATURE_REQUIRED},
    {"num_alignments", FF_I32, "N", 1, INT32_MAX, FF_FEATURE_REQUIRED},
    {"msa_species_identifiers", FF_U8, "I", 0, 0, FF_FEATURE_OPTIONAL},
};

static const struct ff_feature_spec pairing_table[] = {
    {"msa_all_seq", FF_I32, "P N", 0, 21, FF_FEATURE_REQUIRED},
    {"deletion_matrix_int_all_seq", FF_I32, "P N", 0, INT32_MAX, FF_FEATURE_REQUIRED},
    {"msa_species_identifiers_all_seq", FF_U8, "L", 0, 0, FF_FEATURE_REQUIRED},
};

static const struct ff_feature_spec template_table[] = {
    {"template_aatype", FF_F32, "T N 22", 0, 1, FF_FEATURE_REQUIRED},
    {"template_all_atom_positions", FF_F32, "T N 37 3", 1, 0, FF_FEATURE_REQUIRED},
    {"template_all_atom_masks", FF_F32, "T N 37", 0, 1, FF_FEATURE_REQUIRED},
    {"template_sum_probs", FF_F32, "T 1", 1, 0, FF_FEATURE_OPTIONAL},
    {"template_domain_names", FF_U8, "J", 0, 0, FF_FEATURE_OPTIONAL},
    {"template_sequence", FF_U8, "K", 0, 0, FF_FEATURE_OPTIONAL},
};

/* Every element of an array that repeats one size must be that size. */
static ff_status check_repeated(const char *file, const struct ff_arrays *raw, const char *name, int64_t size)
{
    const struct ff_array *a = ff_arrays_find(raw, name);
    const int32_t *v = a->data;
    for (int64_t i = 0; i < a->shape[0]; i++)
        if (v[i] != size)
            return ff_fail(FF_EINPUT, "%s: array %s says %d, but the other arrays say %" PRId64, file, name, v[i],
                           size);
    return FF_OK;
}

static ff_status check_lines(const char *file, const struct ff_arrays *raw, const char *name, int64_t lines)
{
    const struct ff_array *a = ff_arrays_find(raw, name);
    if (a == NULL || (lines == 0 && ff_array_count(a) == 0))
        return FF_OK;
    int64_t found = ff_feature_text_count(a);
    if (found != lines)
        return ff_fail(FF_EINPUT, "%s: array %s has %" PRId64 " lines; expected %" PRId64, file, name, found, lines);
    return FF_OK;
}

/* Each row of aatype has a single 1, and the first row of the alignment is that sequence (X matches everything). */
static ff_status check_query(const char *file, const struct ff_arrays *raw, const char *msa_name, int64_t n)
{
    const int32_t *aatype = ff_arrays_find(raw, "aatype")->data; /* [n, 21] */
    const int32_t *query = ff_arrays_find(raw, msa_name)->data;  /* [n] of [m, n] */
    for (int64_t i = 0; i < n; i++) {
        int type = -1, sum = 0;
        for (int k = 0; k < FF_N_RESTYPE_X; k++) {
            sum += aatype[i * FF_N_RESTYPE_X + k];
            if (aatype[i * FF_N_RESTYPE_X + k])
                type = k;
        }
        if (sum != 1)
            return ff_fail(FF_EINPUT, "%s: array aatype is not one-hot at residue %" PRId64 ": the sum is %d", file,
                           i + 1, sum);
        int32_t row = ff_residue_from_hhblits[query[i]];
        if (row != type && type != FF_RESTYPE_X)
            return ff_fail(FF_EINPUT,
                           "%s: the first row of array %s has %c at residue %" PRId64 ", but aatype says %c; the "
                           "first row must be the query", file, msa_name, ff_residue_letters[row], i + 1,
                           ff_residue_letters[type]);
    }
    return FF_OK;
}

ff_status ff_raw_features_check(const char *file, struct ff_arrays *raw)
{
    struct ff_feature_sizes sizes;
    ff_feature_sizes_init(&sizes);
    FF_TRY(ff_feature_check(file, raw, chain_table, sizeof chain_table / sizeof *chain_table, &sizes));
    int64_t n = ff_feature_size(&sizes, 'N'), m = ff_feature_size(&sizes, 'M');
    if (n < 1 || m < 1)
        return ff_fail(FF_EINPUT,
                       "%s: %" PRId64 " residues and %" PRId64 " alignment rows; at least one of each is needed", file,
                       n, m);
    FF_TRY(check_repeated(file, raw, "seq_length", n));
    FF_TRY(check_repeated(file, raw, "num_alignments", m));
    FF_TRY(check_lines(file, raw, "msa_species_identifiers", m));
    FF_TRY(check_query(file, raw, "msa", n));
    if (ff_arrays_find(raw, "msa_all_seq") != NULL) {
        FF_TRY(ff_feature_check(file, raw, pairing_table, sizeof pairing_table / sizeof *pairing_table, &sizes));
        if (ff_feature_size(&sizes, 'P') < 1)
            return ff_fail(FF_EINPUT, "%s: array msa_all_seq has no rows; its first row must be the query", file);
        FF_TRY(check_lines(file, raw, "msa_species_identifiers_all_seq", ff_feature_size(&sizes, 'P')));
        FF_TRY(check_query(file, raw, "msa_all_seq", n));
    }
    if (ff_arrays_find(raw, "template_aatype") == NULL && ff_arrays_find(raw, "template_all_atom_positions") == NULL)
        return FF_OK;
    /* The published program writes [1] here for its one empty template. */
    struct ff_array *probs = ff_arrays_find(raw, "template_sum_probs");
    if (probs != NULL && probs->ndim == 1) {
        probs->ndim = 2;
        probs->shape[1] = 1;
    }
    FF_TRY(ff_feature_check(file, raw, template_table, sizeof template_table / sizeof *template_table, &sizes));
    int64_t t = ff_feature_size(&sizes, 'T');
    FF_TRY(check_lines(file, raw, "template_domain_names", t));
    return check_lines(file, raw, "template_sequence", t);
}
