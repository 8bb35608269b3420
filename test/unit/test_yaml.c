/* SPDX-License-Identifier: Apache-2.0
 * test_yaml: trees with their lines, what is refused and with which line, and the types of scalars.
 */
#include <stdbool.h>

#include "base/strbuf.h"
#include "format/yaml.h"
#include "unit/testing.h"

static struct ff_yaml *parse(const char *text)
{
    struct ff_yaml *root = NULL;
    assert_ok(ff_yaml_parse("t.yaml", text, strlen(text), &root));
    return root;
}

static void test_tree(void **state)
{
    (void)state;
    struct ff_yaml *root = parse("# a comment\n"
                                 "model: model_1_ptm   # behind a value\n"
                                 "data:\n"
                                 "  cutoff: 0.5\n"
                                 "  list: [1, two, 'three']\n"
                                 "  empty:\n"
                                 "names:\n"
                                 "  - a\n"
                                 "  - b: 1\n"
                                 "    c: 2\n"
                                 "text: |\n"
                                 "  one\n"
                                 "  two\n");
    assert_int_equal(root->kind, FF_YAML_MAP);
    assert_int_equal(root->count, 4);
    assert_null(root->key);
    const struct ff_yaml *model = ff_yaml_get(root, "model"), *data = ff_yaml_get(root, "data");
    assert_string_equal(model->text, "model_1_ptm");
    assert_string_equal(model->key, "model");
    assert_int_equal(model->line, 2);
    assert_false(model->quoted);
    assert_int_equal(data->kind, FF_YAML_MAP);
    assert_int_equal(data->line, 3);
    assert_int_equal(data->count, 3);
    const struct ff_yaml *list = ff_yaml_get(data, "list");
    assert_int_equal(list->kind, FF_YAML_LIST);
    assert_int_equal(list->count, 3);
    assert_int_equal(list->line, 5);
    assert_string_equal(list->items[1].text, "two");
    assert_true(list->items[2].quoted);
    assert_null(list->items[0].key);
    assert_true(ff_yaml_is_null(ff_yaml_get(data, "empty")));
    assert_int_equal(ff_yaml_get(data, "empty")->line, 6);
    const struct ff_yaml *names = ff_yaml_get(root, "names");
    assert_int_equal(names->line, 7);
    assert_int_equal(names->items[0].line, 8);
    assert_int_equal(names->items[1].kind, FF_YAML_MAP);
    assert_int_equal(ff_yaml_get(&names->items[1], "c")->line, 10);
    assert_string_equal(ff_yaml_get(root, "text")->text, "one\ntwo\n");
    assert_null(ff_yaml_get(root, "none"));
    assert_null(ff_yaml_get(model, "none"));
    assert_null(ff_yaml_get(NULL, "none"));
    ff_yaml_free(root);
    ff_yaml_free(NULL);
}

static void test_json(void **state)
{
    (void)state;
    struct ff_yaml *root = parse("{\n\t\"a\": [1, -2.5e3, true, null],\n"
                                 "\t\"b\": {\"c\": \"x \\\"y\\\" \\u00e9\"}\n}\n");
    const struct ff_yaml *a = ff_yaml_get(root, "a");
    assert_int_equal(a->count, 4);
    assert_int_equal(a->line, 2);
    double d;
    bool b;
    assert_true(ff_yaml_to_double(&a->items[1], &d) && d == -2500);
    assert_true(ff_yaml_to_bool(&a->items[2], &b) && b);
    assert_true(ff_yaml_is_null(&a->items[3]));
    assert_string_equal(ff_yaml_get(ff_yaml_get(root, "b"), "c")->text, "x \"y\" \xc3\xa9");
    ff_yaml_free(root);
}

static void test_no_content(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n\n", "# only a comment\n"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct ff_yaml *root = parse(texts[i]);
        assert_int_equal(root->kind, FF_YAML_MAP);
        assert_int_equal(root->count, 0);
        ff_yaml_free(root);
    }
    struct ff_yaml *root = parse("---\n"); /* a document that holds null */
    assert_true(ff_yaml_is_null(root));
    ff_yaml_free(root);
    root = parse("just text\n");
    assert_int_equal(root->kind, FF_YAML_SCALAR);
    ff_yaml_free(root);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "t.yaml:3: key 'a' is there twice (first in line 1)"},
        {"x:\n  {b: 1, c: 2, b: 1}\n", "t.yaml:2: key 'b' is there twice"},
        {"a: &x 1\n", "t.yaml:1: anchors"},
        {"a: &x [1]\n", "t.yaml:1: anchors"},
        {"a:\n  &x\n  b: 1\n", "anchors"},
        {"\na: *x\n", "t.yaml:2: "},
        {"? *x\n: 1\n", "t.yaml:1: "},
        {"a: !!str 1\n", "t.yaml:1: tags"},
        {"a: 1\n---\nb: 2\n", "t.yaml:2: a second document"},
        {"? [a, b]\n: 1\n", "t.yaml:1: a key must be a plain word"},
        {"a: 1\n b: 2\n", "t.yaml:2: "},
        {"a: [1, 2\nb: 3\n", "t.yaml:2: "},
        {"a:\n\t- b\n", "t.yaml:2: found a tab"},
        {"a: 'open\n", "t.yaml:"},
        {"a: \"x\\0y\"\n", "t.yaml:1: a text holds a NUL"},
        {"a: 1\nb: \xff\n", "t.yaml:2: "},
        {"a: \"\\q\"\n", "t.yaml:1: "},
        {"%YAML 3.0\n---\na: 1\n", "t.yaml:1: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ff_yaml *root;
        assert_fails(ff_yaml_parse("t.yaml", cases[i].text, strlen(cases[i].text), &root), FF_EUSAGE, cases[i].message);
        assert_null(root);
    }
}

static void test_depth(void **state)
{
    (void)state;
    for (int depth = 60; depth < 100; depth += 39) {
        struct ff_strbuf b = {0};
        struct ff_yaml *root;
        for (int i = 0; i < depth; i++)
            ff_strbuf_putc(&b, '[');
        for (int i = 0; i < depth; i++)
            ff_strbuf_putc(&b, ']');
        if (depth == 60) {
            assert_ok(ff_yaml_parse("t.yaml", b.s, b.len, &root));
            ff_yaml_free(root);
        } else {
            assert_fails(ff_yaml_parse("t.yaml", b.s, b.len, &root), FF_EUSAGE, "nested more than 64 deep");
        }
        ff_strbuf_free(&b);
    }
}

static void test_load(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *path = ff_path_join(dir, "c.yaml");
    struct ff_yaml *root;
    assert_fails(ff_yaml_load(path, &root), FF_EMISSING, "c.yaml");
    assert_ok(ff_file_write(path, "\xef\xbb\xbf" "a: 1\r\nb: x\r\n", 15)); /* BOM and CRLF */
    assert_ok(ff_yaml_load(path, &root));
    assert_string_equal(ff_yaml_get(root, "a")->text, "1");
    assert_string_equal(ff_yaml_get(root, "b")->text, "x");
    ff_yaml_free(root);
    assert_ok(ff_file_write(path, "a: [\n]]\n", 8));
    assert_fails(ff_yaml_load(path, &root), FF_EUSAGE, "c.yaml:2: ");
    free(path);
    test_remove_dir(dir);
}

/* --- scalars --- */

struct scalar_case {
    const char *text;
    const char *kinds;           /* n null, b bool, i int, d double */
    double value;
};

static void test_scalars(void **state)
{
    (void)state;
    static const struct scalar_case cases[] = {
        {"~", "n", 0}, {"null", "n", 0}, {"Null", "n", 0}, {"NULL", "n", 0}, {"", "n", 0}, {"none", "", 0},
        {"true", "b", 1}, {"True", "b", 1}, {"FALSE", "b", 0}, {"false", "b", 0}, {"yes", "", 0}, {"on", "", 0},
        {"0", "id", 0}, {"42", "id", 42}, {"-7", "id", -7}, {"+7", "id", 7}, {"007", "id", 7}, {"1_000", "", 0},
        {"0x10", "", 0}, {"0o7", "", 0}, {"-", "", 0}, {"+", "", 0}, {"1 2", "", 0}, {"12a", "", 0},
        {"9223372036854775807", "id", 9223372036854775807.0}, {"9223372036854775808", "d", 9223372036854775808.0},
        {"-9223372036854775808", "id", -9223372036854775808.0}, {"1.5", "d", 1.5}, {".5", "d", .5}, {"5.", "d", 5},
        {".", "", 0}, {"-.", "", 0}, {"1e3", "d", 1000}, {"1E-3", "d", 1e-3},
        {"1e", "", 0}, {"1e+", "", 0}, {"e5", "", 0}, {".e5", "", 0}, {"1.5.2", "", 0}, {"-2.5e+02", "d", -250},
        {".inf", "d", INFINITY}, {"-.INF", "d", -INFINITY},
        {"+.Inf", "d", INFINITY}, {"inf", "", 0}, {"nan", "", 0}, {"0.1", "d", 0.1}, {"1e400", "d", INFINITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct scalar_case *c = &cases[i];
        for (int quoted = 0; quoted < 2; quoted++) {
            char *text = ff_xasprintf(quoted ? "a: '%s'\n" : "a: %s\n", c->text);
            if (!quoted && strcmp(c->text, "-") == 0) { /* alone it would be a list's dash */
                free(text);
                continue;
            }
            struct ff_yaml *root = parse(text);
            const struct ff_yaml *n = ff_yaml_get(root, "a");
            const char *kinds = quoted ? "" : c->kinds; /* quotes make a text of anything */
            bool b = !c->value;
            int64_t v = -1;
            double d = -1;
            if (ff_yaml_is_null(n) != (strchr(kinds, 'n') != NULL) ||
                ff_yaml_to_bool(n, &b) != (strchr(kinds, 'b') != NULL) ||
                ff_yaml_to_int(n, &v) != (strchr(kinds, 'i') != NULL) ||
                ff_yaml_to_double(n, &d) != (strchr(kinds, 'd') != NULL))
                fail_msg("\"%s\": of a wrong kind, quoted %d", c->text, quoted);
            if (strchr(kinds, 'b'))
                assert_int_equal(b, c->value != 0);
            if (strchr(kinds, 'i'))
                assert_true((double)v == c->value);
            if (strchr(kinds, 'd'))
                assert_true(d == c->value);
            ff_yaml_free(root);
            free(text);
        }
    }
    struct ff_yaml *root = parse("a: .NaN\nb: [1]\nc: 9223372036854775807\n");
    double d;
    int64_t v;
    bool b;
    assert_true(ff_yaml_to_double(ff_yaml_get(root, "a"), &d) && isnan(d));
    assert_false(ff_yaml_to_double(ff_yaml_get(root, "b"), &d));
    assert_true(ff_yaml_to_int(ff_yaml_get(root, "c"), &v) && v == INT64_MAX);
    assert_false(ff_yaml_is_null(ff_yaml_get(root, "b")) || ff_yaml_is_null(NULL) || ff_yaml_to_int(NULL, &v) ||
                 ff_yaml_to_bool(NULL, &b));
    ff_yaml_free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),  cmocka_unit_test(test_json), cmocka_unit_test(test_no_content),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_depth), cmocka_unit_test(test_load),
        cmocka_unit_test(test_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
