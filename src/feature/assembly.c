/* SPDX-License-Identifier: Apache-2.0
 * assembly: from the raw features of chains to those of their complex.
 */
#include "feature/assembly.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strset.h"
#include "bio/residue.h"
#include "feature/residue_features.h"

enum {
    MAX_TEMPLATES = 4,
    MAX_ROWS = 2048,                 /* of one chain in the alignment, paired and unpaired */
    MIN_ROWS = 512,
    HHBLITS_GAP = 21,
};

void ff_assembly_free(struct ff_assembly *a)
{
    for (int e = 0; e < a->n_entity; e++)
        free(a->entities[e].unpaired);
    free(a->entities);
    free(a->chains);
    ff_paired_rows_free(&a->paired);
    *a = (struct ff_assembly){0};
}

static const int32_t *ints(const struct ff_arrays *raw, const char *name)
{
    const struct ff_array *a = ff_arrays_find(raw, name);
    return a ? a->data : NULL;
}

static int rows_of(const struct ff_arrays *raw, const char *name)
{
    const struct ff_array *a = ff_arrays_find(raw, name);
    return a ? (int)a->shape[0] : 0;
}

/* ---- grouping ---------------------------------------------------------------------------------------------------- */

static ff_status group_chains(int n_chain, const struct ff_arrays *const *chains, struct ff_assembly *a)
{
    struct ff_strset sequences = {0};
    int *entity_of = FF_NEW_ARRAY(int, (size_t)n_chain);
    ff_status st = FF_OK;
    a->entities = FF_NEW_ARRAY(struct ff_assembly_entity, (size_t)n_chain);
    for (int c = 0; c < n_chain && st == FF_OK; c++) {
        const struct ff_array *sequence = ff_arrays_find(chains[c], "sequence");
        bool added;
        if (sequence == NULL) {
            st = ff_fail(FF_EINPUT, "chain %d: array sequence is missing; it tells which chains are equal", c + 1);
            break;
        }
        int e = entity_of[c] = ff_strset_add(&sequences, sequence->data, (size_t)sequence->shape[0], &added);
        if (added) {
            int n_res = (int)sequence->shape[0];
            a->entities[a->n_entity++] = (struct ff_assembly_entity){.raw = chains[c], .n_res = n_res};
        }
        a->entities[e].n_chain++;
    }
    a->chains = FF_NEW_ARRAY(struct ff_assembly_chain, (size_t)n_chain);
    for (int e = 0; e < a->n_entity && st == FF_OK; e++) {
        a->entities[e].first_chain = a->n_chain;
        for (int c = 0; c < n_chain; c++)
            if (entity_of[c] == e)
                a->chains[a->n_chain++] = (struct ff_assembly_chain){c, e};
    }
    free(entity_of);
    ff_strset_free(&sequences);
    return st;
}

/* ---- pairing ----------------------------------------------------------------------------------------------------- */

static void pair_chains(struct ff_assembly *a)
{
    struct ff_pairing_chain *chains = FF_NEW_ARRAY(struct ff_pairing_chain, (size_t)a->n_chain);
    for (int c = 0; c < a->n_chain; c++) {
        const struct ff_assembly_entity *e = &a->entities[a->chains[c].entity];
        const struct ff_array *species = ff_arrays_find(e->raw, "msa_species_identifiers_all_seq");
        const int32_t *msa = ints(e->raw, "msa_all_seq");
        chains[c] = (struct ff_pairing_chain){
            .n_row = msa ? rows_of(e->raw, "msa_all_seq") : 1,
            .n_res = e->n_res,
            .msa = msa ? msa : ints(e->raw, "msa"),
            .species = msa && species ? species->data : "",
            .species_len = msa && species ? species->shape[0] : 0,
        };
    }
    ff_pairing_match(a->n_chain, chains, &a->paired);
    ff_pairing_sort(&a->paired);
    free(chains);
}

/* Row of an entity's pairing alignment, or NULL for a row of gaps. All copies of an entity have the same. */
static const int32_t *paired_row(const struct ff_assembly *a, const struct ff_assembly_entity *e, int row)
{
    int at = a->paired.rows[(int64_t)row * a->n_chain + e->first_chain];
    const int32_t *msa = ints(e->raw, "msa_all_seq");
    if (msa == NULL)
        msa = ints(e->raw, "msa");
    return at < 0 ? NULL : msa + (int64_t)at * e->n_res;
}

static bool all_gaps(const int32_t *row, int n)
{
    int i = 0;
    while (i < n && row[i] == HHBLITS_GAP)
        i++;
    return i == n;
}

/* Rows of the entity's own alignment that no paired row (crop apart) equals. */
static void find_unpaired(const struct ff_assembly *a, struct ff_assembly_entity *e)
{
    struct ff_strset seen = {0};
    size_t bytes = (size_t)e->n_res * sizeof(int32_t);
    int32_t *gaps = ff_xmalloc(bytes);
    for (int i = 0; i < e->n_res; i++)
        gaps[i] = HHBLITS_GAP;
    for (int r = 0; r < a->paired.n_row; r++) {
        const int32_t *row = paired_row(a, e, r);
        ff_strset_add(&seen, (const char *)(row ? row : gaps), bytes, NULL);
    }
    const int32_t *msa = ints(e->raw, "msa");
    int n_row = rows_of(e->raw, "msa");
    e->unpaired = FF_NEW_ARRAY(int64_t, (size_t)n_row);
    for (int r = 0; r < n_row; r++)
        if (ff_strset_find(&seen, (const char *)(msa + (int64_t)r * e->n_res), bytes) < 0)
            e->unpaired[e->n_unpaired++] = r;
    free(gaps);
    ff_strset_free(&seen);
}

/* A chain's rows in both parts together stay below MAX_ROWS, of which at most half are paired. */
static void crop_rows(struct ff_assembly *a)
{
    a->n_paired = a->paired.n_row < MAX_ROWS / 2 ? a->paired.n_row : MAX_ROWS / 2;
    for (int k = 0; k < a->n_entity; k++) {
        struct ff_assembly_entity *e = &a->entities[k];
        int room = MAX_ROWS;
        for (int r = 0; r < a->n_paired; r++) {
            const int32_t *row = paired_row(a, e, r);
            room -= row != NULL && !all_gaps(row, e->n_res);
        }
        e->n_used = e->n_unpaired < room ? e->n_unpaired : room;
    }
}

ff_status ff_assembly_plan(int n_chain, const struct ff_arrays *const *chains, struct ff_assembly *ret)
{
    FF_ASSERT(n_chain >= 1);
    *ret = (struct ff_assembly){0};
    ff_status st = group_chains(n_chain, chains, ret);
    if (st != FF_OK) {
        ff_assembly_free(ret);
        return st;
    }
    ret->paired.n_chain = n_chain;
    if (ret->n_entity > 1)
        pair_chains(ret);
    for (int e = 0; e < ret->n_entity; e++)
        find_unpaired(ret, &ret->entities[e]);
    crop_rows(ret);
    return FF_OK;
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static void *add(struct ff_arrays *ret, const char *name, enum ff_dtype dtype, int ndim, const int64_t *shape)
{
    return ff_arrays_add(ret, name, dtype, ndim, shape)->data;
}

static void add_scalar(struct ff_arrays *ret, const char *name, int64_t value)
{
    *(int32_t *)add(ret, name, FF_I32, 0, NULL) = (int32_t)value;
}

/* Mean number of deletions over the entity's alignment as it was searched. */
static void mean_deletions(const struct ff_assembly_entity *e, float *ret /* [n_res] */)
{
    const int32_t *deletions = ints(e->raw, "deletion_matrix_int");
    int n_row = rows_of(e->raw, "deletion_matrix_int");
    int64_t *sum = FF_NEW_ARRAY(int64_t, (size_t)e->n_res);
    for (int64_t r = 0; r < n_row; r++)
        for (int i = 0; i < e->n_res; i++)
            sum[i] += deletions[r * e->n_res + i];
    for (int i = 0; i < e->n_res; i++)
        ret[i] = (float)sum[i] / (float)n_row;
    free(sum);
}

static void merge_residues(const struct ff_assembly *a, int64_t n, struct ff_arrays *ret)
{
    const struct ff_residue_tables *tables = ff_residue_tables();
    int32_t *aatype = add(ret, "aatype", FF_I32, 1, &n), *index = add(ret, "residue_index", FF_I32, 1, &n);
    float *asym = add(ret, "asym_id", FF_F32, 1, &n), *sym = add(ret, "sym_id", FF_F32, 1, &n);
    float *entity = add(ret, "entity_id", FF_F32, 1, &n), *seq_mask = add(ret, "seq_mask", FF_F32, 1, &n);
    int32_t *entity_mask = add(ret, "entity_mask", FF_I32, 1, &n);
    float *deletion_mean = add(ret, "deletion_mean", FF_F32, 1, &n);
    int32_t *atoms = add(ret, "all_atom_mask", FF_I32, 2, (int64_t[]){n, FF_N_ATOM37});
    add(ret, "all_atom_positions", FF_F32, 3, (int64_t[]){n, FF_N_ATOM37, 3});
    int32_t *input = add(ret, "input_chain", FF_I32, 1, (int64_t[]){a->n_chain});
    int64_t at = 0;
    for (int c = 0; c < a->n_chain; c++) {
        const struct ff_assembly_entity *e = &a->entities[a->chains[c].entity];
        const int32_t *one_hot = ints(e->raw, "aatype"), *from_index = ints(e->raw, "residue_index");
        input[c] = a->chains[c].input;
        mean_deletions(e, deletion_mean + at);
        for (int i = 0; i < e->n_res; i++, at++) {
            while (!one_hot[i * FF_N_RESTYPE_X + aatype[at]])
                aatype[at]++;
            index[at] = from_index[i];
            asym[at] = (float)(c + 1);
            sym[at] = (float)(c - e->first_chain + 1);
            entity[at] = (float)(a->chains[c].entity + 1);
            seq_mask[at] = 1.0f;
            entity_mask[at] = 1;
            for (int k = 0; k < FF_N_ATOM37; k++)
                atoms[at * FF_N_ATOM37 + k] = tables->atom37_mask[aatype[at]][k] > 0;
        }
    }
}

struct msa_block {
    int64_t n;                       /* residues of the complex */
    int32_t *msa;                    /* [M, n] */
    float *deletions, *bert;         /* [M, n] */
};

/* Writes a row of an entity, once per copy, at (row, residue). NULL row: leaves the gaps. */
static void put_row(struct msa_block *b, const struct ff_assembly_entity *e, int64_t row, int64_t residue,
                    const int32_t *ids, const int32_t *deletions)
{
    for (int copy = 0; copy < e->n_chain; copy++) {
        int64_t at = row * b->n + residue + (int64_t)copy * e->n_res;
        for (int i = 0; i < e->n_res; i++) {
            b->bert[at + i] = 1.0f;
            if (ids != NULL)
                b->msa[at + i] = ff_residue_from_hhblits[ids[i]];
            if (deletions != NULL)
                b->deletions[at + i] = (float)deletions[i];
        }
    }
}

static void merge_alignments(const struct ff_assembly *a, int64_t n, struct ff_arrays *ret)
{
    int64_t real = a->n_paired;
    for (int e = 0; e < a->n_entity; e++)
        real += a->entities[e].n_used;
    int64_t rows = real < MIN_ROWS ? MIN_ROWS : real;
    const int64_t shape[] = {rows, n};
    struct msa_block b = {.n = n};
    b.msa = add(ret, "msa", FF_I32, 2, shape);
    b.deletions = add(ret, "deletion_matrix", FF_F32, 2, shape);
    b.bert = add(ret, "bert_mask", FF_F32, 2, shape);
    float *mask = add(ret, "msa_mask", FF_F32, 2, shape), *bias = add(ret, "cluster_bias_mask", FF_F32, 1, &rows);
    for (int64_t i = 0; i < real * n; i++) {
        b.msa[i] = FF_RESTYPE_GAP;
        mask[i] = 1.0f;
    }
    bias[0] = 1.0f;
    int64_t residue = 0, row = a->n_paired;
    for (int k = 0; k < a->n_entity; k++) {
        const struct ff_assembly_entity *e = &a->entities[k];
        const int32_t *all_deletions = ints(e->raw, "deletion_matrix_int_all_seq");
        for (int r = 0; r < a->n_paired; r++) {
            int at = a->paired.rows[(int64_t)r * a->n_chain + e->first_chain];
            put_row(&b, e, r, residue, paired_row(a, e, r),
                    at < 0 || all_deletions == NULL ? NULL : all_deletions + (int64_t)at * e->n_res);
        }
        for (int r = 0; r < e->n_used; r++, row++)
            put_row(&b, e, row, residue, ints(e->raw, "msa") + e->unpaired[r] * e->n_res,
                    ints(e->raw, "deletion_matrix_int") + e->unpaired[r] * e->n_res);
        residue += (int64_t)e->n_chain * e->n_res;
    }
    add_scalar(ret, "num_alignments", real);
}

/* Copies [T, n_here, width] to columns at.. of [T, n, width]. */
static void put_columns(const float *from, int64_t n_here, int64_t width, float *to, int64_t n, int64_t at)
{
    for (int64_t t = 0; t < MAX_TEMPLATES; t++)
        memcpy(to + (t * n + at) * width, from + t * n_here * width, (size_t)(n_here * width) * sizeof *to);
}

static void merge_templates(const struct ff_assembly *a, int64_t n, struct ff_arrays *ret)
{
    const int64_t shape[] = {MAX_TEMPLATES, n, FF_N_ATOM37, 3};
    int32_t *aatype = add(ret, "template_aatype", FF_I32, 2, shape);
    float *mask = add(ret, "template_all_atom_mask", FF_F32, 3, shape);
    float *positions = add(ret, "template_all_atom_positions", FF_F32, 4, shape);
    int64_t at = 0;
    for (int k = 0; k < a->n_entity; k++) {
        const struct ff_assembly_entity *e = &a->entities[k];
        struct ff_arrays one = {0};
        int count = ff_residue_features_make_templates(e->raw, e->n_res, MAX_TEMPLATES, MAX_TEMPLATES, &one);
        for (int copy = 0; copy < e->n_chain; copy++, at += e->n_res) {
            for (int64_t t = 0; t < MAX_TEMPLATES; t++)
                memcpy(aatype + t * n + at, ints(&one, "template_aatype") + t * e->n_res,
                       (size_t)e->n_res * sizeof *aatype);
            put_columns(ff_arrays_find(&one, "template_all_atom_masks")->data, e->n_res, FF_N_ATOM37, mask, n, at);
            put_columns(ff_arrays_find(&one, "template_all_atom_positions")->data, e->n_res, FF_N_ATOM37 * 3, positions,
                        n, at);
        }
        if (k == 0)
            add_scalar(ret, "num_templates", count);     /* of the first chain, as published */
        ff_arrays_free(&one);
    }
}

void ff_assembly_merge(const struct ff_assembly *a, struct ff_arrays *ret)
{
    *ret = (struct ff_arrays){0};
    int64_t n = 0;
    for (int e = 0; e < a->n_entity; e++)
        n += (int64_t)a->entities[e].n_chain * a->entities[e].n_res;
    merge_residues(a, n, ret);
    merge_alignments(a, n, ret);
    merge_templates(a, n, ret);
    add_scalar(ret, "seq_length", n);
    add_scalar(ret, "assembly_num_chains", a->n_chain);
}

ff_status ff_assembly_make(int n_chain, const struct ff_arrays *const *chains, struct ff_arrays *ret)
{
    struct ff_assembly a;
    *ret = (struct ff_arrays){0};
    FF_TRY(ff_assembly_plan(n_chain, chains, &a));
    ff_assembly_merge(&a, ret);
    ff_assembly_free(&a);
    return FF_OK;
}
