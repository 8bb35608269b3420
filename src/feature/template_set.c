/* SPDX-License-Identifier: Apache-2.0 */
#include "feature/template_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/strbuf.h"
#include "bio/msa.h"
#include "bio/residue.h"

enum { N_CLASS = FF_RESTYPE_GAP + 1 };               /* HHblits alphabet with X and gap */

static void template_free(struct ff_template *t)
{
    free(t->domain_name);
    free(t->sequence);
    free(t->positions);
    free(t->mask);
    *t = (struct ff_template){0};
}

void ff_template_set_free(struct ff_template_set *s)
{
    for (int i = 0; i < s->count; i++)
        template_free(&s->items[i]);
    free(s->items);
    *s = (struct ff_template_set){0};
}

struct ff_template *ff_template_set_add(struct ff_template_set *s, const char *domain_name)
{
    size_t n = (size_t)s->n_res;

    FF_GROW(s->items, s->count, s->capacity);
    struct ff_template *t = &s->items[s->count++];
    *t = (struct ff_template){.domain_name = ff_xstrdup(domain_name)};
    t->sequence = ff_xmalloc(n + 1);
    memset(t->sequence, '-', n);
    t->sequence[n] = '\0';
    t->positions = FF_NEW_ARRAY(float, n * FF_N_ATOM37 * 3);
    t->mask = FF_NEW_ARRAY(float, n * FF_N_ATOM37);
    return t;
}

void ff_template_set_drop_last(struct ff_template_set *s)
{
    FF_ASSERT(s->count > 0);
    template_free(&s->items[--s->count]);
}

static float *add_array(struct ff_arrays *ret, const char *name, int ndim, int64_t n_template, int64_t n_res,
                        int64_t third)
{
    const int64_t shape[4] = {n_template, n_res, third, 3};
    return ff_arrays_add(ret, name, FF_F32, ndim, shape)->data;
}

static void add_texts(const struct ff_template_set *s, struct ff_arrays *ret)
{
    struct ff_strbuf names = {0}, sequences = {0};

    for (int t = 0; t < s->count; t++) {
        if (t > 0) {
            ff_strbuf_putc(&names, '\n');
            ff_strbuf_putc(&sequences, '\n');
        }
        ff_strbuf_puts(&names, s->items[t].domain_name);
        ff_strbuf_puts(&sequences, s->items[t].sequence);
    }
    ff_arrays_add_text(ret, "template_domain_names", ff_strbuf_cstr(&names), names.len);
    ff_arrays_add_text(ret, "template_sequence", ff_strbuf_cstr(&sequences), sequences.len);
    ff_strbuf_free(&names);
    ff_strbuf_free(&sequences);
}

void ff_template_set_to_arrays(const struct ff_template_set *s, bool one_if_empty, struct ff_arrays *ret)
{
    bool placeholder = s->count == 0 && one_if_empty;
    int64_t n_template = placeholder ? 1 : s->count;
    size_t n = (size_t)s->n_res;

    float *aatype = add_array(ret, "template_aatype", 3, n_template, s->n_res, N_CLASS);
    for (int t = 0; t < s->count; t++) {
        for (size_t i = 0; i < n; i++) {
            int id = ff_msa_hhblits_id(s->items[t].sequence[i]);
            FF_ASSERT(id >= 0);
            aatype[((size_t)t * n + i) * N_CLASS + (size_t)id] = 1;
        }
    }
    float *mask = add_array(ret, "template_all_atom_masks", 3, n_template, s->n_res, FF_N_ATOM37);
    for (int t = 0; t < s->count; t++)
        memcpy(mask + (size_t)t * n * FF_N_ATOM37, s->items[t].mask, n * FF_N_ATOM37 * sizeof *mask);
    float *positions = add_array(ret, "template_all_atom_positions", 4, n_template, s->n_res, FF_N_ATOM37);
    for (int t = 0; t < s->count; t++)
        memcpy(positions + (size_t)t * n * FF_N_ATOM37 * 3, s->items[t].positions,
               n * FF_N_ATOM37 * 3 * sizeof *positions);
    float *sum_probs = add_array(ret, "template_sum_probs", placeholder ? 1 : 2, n_template, 1, 1);
    for (int t = 0; t < s->count; t++)
        sum_probs[t] = (float)s->items[t].sum_probs;
    add_texts(s, ret);
}
