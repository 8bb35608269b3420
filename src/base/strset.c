/* SPDX-License-Identifier: Apache-2.0 */
#include "base/strset.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/status.h"

/* Names of one file differ in few bytes; FNV-1a over words of 8 bytes with a final mix is enough and fast. */
static uint64_t hash_bytes(const char *key, size_t len)
{
    uint64_t h = 0xCBF29CE484222325u ^ len;
    while (len >= 8) {
        uint64_t w;
        memcpy(&w, key, 8);
        h = (h ^ w) * 0x9FB21C651E98DF25u;
        h ^= h >> 32;
        key += 8;
        len -= 8;
    }
    for (; len > 0; len--)
        h = (h ^ (unsigned char)*key++) * 0x100000001B3u;
    h ^= h >> 29;
    h *= 0xBF58476D1CE4E5B9u;
    return h ^ (h >> 32);
}

void ff_strset_free(struct ff_strset *s)
{
    free(s->offset);
    free(s->length);
    free(s->hash);
    free(s->text);
    free(s->slot);
    *s = (struct ff_strset){0};
}

/* Slot that holds the key or, when it is absent, the empty slot where it belongs. n_slot > 0. */
static size_t find_slot(const struct ff_strset *s, const char *key, size_t len, uint64_t h)
{
    size_t i = (size_t)h & (s->n_slot - 1);
    for (; s->slot[i] >= 0; i = (i + 1) & (s->n_slot - 1)) {
        int k = s->slot[i];
        if (s->hash[k] == h && s->length[k] == len && memcmp(s->text + s->offset[k], key, len) == 0)
            break;
    }
    return i;
}

static void rehash(struct ff_strset *s, size_t n_slot)
{
    free(s->slot);
    s->slot = ff_xreallocarray(NULL, n_slot, sizeof *s->slot);
    s->n_slot = n_slot;
    memset(s->slot, 0xff, n_slot * sizeof *s->slot);
    for (int k = 0; k < s->count; k++) {
        size_t i = (size_t)s->hash[k] & (n_slot - 1);
        while (s->slot[i] >= 0)
            i = (i + 1) & (n_slot - 1);
        s->slot[i] = k;
    }
}

int ff_strset_find(const struct ff_strset *s, const char *key, size_t len)
{
    if (s->n_slot == 0)
        return -1;
    return s->slot[find_slot(s, key, len, hash_bytes(key, len))];
}

int ff_strset_add(struct ff_strset *s, const char *key, size_t len, bool *added)
{
    if (s->n_slot < 2 * ((size_t)s->count + 1))
        rehash(s, s->n_slot ? 2 * s->n_slot : 64);
    uint64_t h = hash_bytes(key, len);
    size_t i = find_slot(s, key, len, h);
    if (added)
        *added = s->slot[i] < 0;
    if (s->slot[i] >= 0)
        return s->slot[i];

    FF_ASSERT(s->count < INT32_MAX);
    if (s->count >= s->key_capacity) {
        s->key_capacity = s->key_capacity ? 2 * s->key_capacity : 32;
        s->offset = ff_xreallocarray(s->offset, (size_t)s->key_capacity, sizeof *s->offset);
        s->length = ff_xreallocarray(s->length, (size_t)s->key_capacity, sizeof *s->length);
        s->hash = ff_xreallocarray(s->hash, (size_t)s->key_capacity, sizeof *s->hash);
    }
    if (s->text_cap - s->text_len < len + 1) {
        s->text_cap = 2 * s->text_cap + len + 1024;
        s->text = ff_xrealloc(s->text, s->text_cap);
    }
    if (len > 0)
        memcpy(s->text + s->text_len, key, len);
    s->text[s->text_len + len] = '\0';
    s->offset[s->count] = s->text_len;
    s->length[s->count] = len;
    s->hash[s->count] = h;
    s->text_len += len + 1;
    s->slot[i] = s->count;
    return s->count++;
}

const char *ff_strset_key(const struct ff_strset *s, int i)
{
    FF_ASSERT(i >= 0 && i < s->count);
    return s->text + s->offset[i];
}
