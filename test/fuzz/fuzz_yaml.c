/* SPDX-License-Identifier: Apache-2.0
 * fuzz_yaml: any bytes as YAML or JSON.
 */
#include <math.h>
#include <string.h>

#include "base/status.h"
#include "format/yaml.h"

#define FF_FUZZ_SEEDS "test/fuzz/seeds/yaml"
#include "fuzz/fuzz.h"

/* The promises of yaml.h for every node. */
static void check_node(const struct ff_yaml *n, const struct ff_yaml *parent)
{
    bool b;
    int64_t i;
    double d;
    FF_ASSERT(n->line >= 1);
    FF_ASSERT((n->key != NULL) == (parent != NULL && parent->kind == FF_YAML_MAP));
    FF_ASSERT((n->text != NULL) == (n->kind == FF_YAML_SCALAR));
    FF_ASSERT(n->kind != FF_YAML_SCALAR || n->count == 0);
    int kinds = ff_yaml_is_null(n) + ff_yaml_to_bool(n, &b);
    bool is_int = ff_yaml_to_int(n, &i), is_double = ff_yaml_to_double(n, &d);
    FF_ASSERT(!is_int || is_double); /* every integer is a number */
    FF_ASSERT(kinds + is_double <= 1);
    FF_ASSERT(kinds + is_double == 0 || (n->kind == FF_YAML_SCALAR && !n->quoted));
    FF_ASSERT(!is_int || fabs(d - (double)i) <= 1024);
    for (int k = 0; k < n->count; k++) {
        check_node(&n->items[k], n);
        if (n->kind == FF_YAML_MAP) /* keys are unique, so each is found as itself */
            FF_ASSERT(k > 200 || ff_yaml_get(n, n->items[k].key) == &n->items[k]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ff_yaml *root;
    ff_status st = ff_yaml_parse("fuzz", (const char *)data, size, &root);
    if (st == FF_OK) {
        check_node(root, NULL);
        ff_yaml_free(root);
    } else {
        FF_ASSERT(st == FF_EUSAGE && root == NULL);
        FF_ASSERT(strncmp(ff_status_message(), "fuzz:", 5) == 0);
    }
    return 0;
}
