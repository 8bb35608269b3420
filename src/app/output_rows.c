/* SPDX-License-Identifier: Apache-2.0
 * output_rows: see output_rows.h.
 */
#include "app/output_rows.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "model/confidence.h"

struct ff_output_rows {
    struct ff_npz_writer *file;  /* NULL once it is given away */
    int n_res;
    int *place;                  /* [n_res] of the network's residues in the file; NULL: the same */
    uint8_t *row, *moved;        /* [n_res] in the order of the network, of the file */
    ff_status st;                /* of the rows up to now */
    char *message;
};

ff_status ff_output_rows_open(const char *path, int n_res, struct ff_output_rows **ret)
{
    *ret = NULL;
    struct ff_npz_writer *file;
    FF_TRY(ff_npz_writer_open(path, &file));
    char name[] = FF_OUTPUT_ROWS;
    struct ff_array header = {.name = name, .dtype = FF_U8, .ndim = 2, .shape = {n_res, n_res}};
    ff_status st = ff_npz_writer_begin(file, &header);
    if (st != FF_OK) {
        ff_npz_writer_abort(file);
        return st;
    }
    struct ff_output_rows *r = *ret = FF_NEW(struct ff_output_rows);
    r->file = file;
    r->n_res = n_res;
    r->row = ff_xmalloc((size_t)n_res);
    r->moved = ff_xmalloc((size_t)n_res);
    return FF_OK;
}

/* The row in the order of the file. */
static const uint8_t *ordered(struct ff_output_rows *r, const int *order)
{
    if (order == NULL)
        return r->row;
    for (int k = 0; k < r->n_res; k++)
        r->moved[k] = r->row[order[k]];
    return r->moved;
}

void ff_output_rows_take(struct ff_output_rows *r, const int *order, int64_t first, int64_t n, const float *rows)
{
    if (order != NULL && r->place == NULL) {
        r->place = FF_NEW_ARRAY(int, (size_t)r->n_res);
        for (int i = 0; i < r->n_res; i++)
            r->place[order[i]] = i;
    }
    size_t row = (size_t)r->n_res;
    for (int64_t i = first; i < first + n && r->st == FF_OK; i++, rows += row) {
        ff_confidence_pae_eighths(r->n_res, rows, r->row);
        uint64_t place = (uint64_t)(order != NULL ? r->place[i] : i);
        r->st = ff_npz_writer_put(r->file, place * row, ordered(r, order), row);
        if (r->st != FF_OK)
            r->message = ff_xstrdup(ff_status_message());
    }
}

ff_status ff_output_rows_end(struct ff_output_rows *r, struct ff_npz_writer **ret)
{
    *ret = NULL;
    if (r->st != FF_OK)
        return ff_fail(r->st, "%s", r->message);
    FF_TRY(ff_npz_writer_end(r->file));
    *ret = r->file;
    r->file = NULL;
    return FF_OK;
}

void ff_output_rows_close(struct ff_output_rows *r)
{
    if (r == NULL)
        return;
    ff_npz_writer_abort(r->file);
    free(r->place);
    free(r->row);
    free(r->moved);
    free(r->message);
    free(r);
}
