/* SPDX-License-Identifier: Apache-2.0 */
#include "bio/template_hit.h"

#include <stdlib.h>

#include "base/alloc.h"

void ff_template_hit_free(struct ff_template_hit *h)
{
    free(h->name);
    free(h->query);
    free(h->hit_sequence);
    free(h->indices_query);
    free(h->indices_hit);
    *h = (struct ff_template_hit){0};
}

void ff_template_hits_free(struct ff_template_hits *h)
{
    for (int i = 0; i < h->count; i++)
        ff_template_hit_free(&h->items[i]);
    free(h->items);
    *h = (struct ff_template_hits){0};
}

struct ff_template_hit *ff_template_hits_add(struct ff_template_hits *h)
{
    FF_GROW(h->items, h->count, h->capacity);
    h->items[h->count] = (struct ff_template_hit){0};
    return &h->items[h->count++];
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool ff_template_hit_id(const struct ff_template_hit *h, char ret_pdb_id[5], char **ret_chain)
{
    const char *name = h->name;

    for (int i = 0; i < 4; i++) {
        if (!is_alnum(name[i]))
            return false;
        ret_pdb_id[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
    }
    ret_pdb_id[4] = '\0';
    if (name[4] != '_')
        return false;
    size_t n = 5;
    while (is_alnum(name[n]) || name[n] == '.')
        n++;
    if (n == 5)
        return false;
    *ret_chain = ff_xstrndup(name + 5, n - 5);
    return true;
}
