/* SPDX-License-Identifier: Apache-2.0
 * identifiers: species of the descriptions in test/data/features/inputs/edge/descriptions.txt as AlphaFold finds them.
 */
#include "unit/testing.h"

#include "bio/identifiers.h"
#include "format/yaml.h"

static void test_golden_species(void **state)
{
    (void)state;
    struct ff_yaml *list;
    assert_ok(ff_yaml_load("test/data/features/parsers/edge__species.json", &list));
    assert_int_equal(list->kind, FF_YAML_LIST);
    assert_true(list->count >= 20);
    for (int i = 0; i < list->count; i++) {
        const struct ff_yaml *pair = &list->items[i];
        assert_int_equal(pair->count, 2);
        char species[FF_SPECIES_SIZE];
        if (strcmp(ff_identifiers_species(pair->items[0].text, species), pair->items[1].text) != 0)
            fail_msg("'%s': '%s' instead of '%s'", pair->items[0].text, species, pair->items[1].text);
    }
    ff_yaml_free(list);
}

static void test_more_forms(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"tr|A0A146SKV9|A0A146SKV9_FUNHE", "FUNHE"}, {"tr|A0A146SKV9|A0A146SKV9_FUNHE_", ""},
        {"tr|A0A146SKV9|A0A146SKV9_FUNHE_1_2", ""},  {"tr|A0A146SKV9|A0A146SKV9_FUNHE_x", ""},
        {"tr|A0A146SKV9_1|A_12_3", "12"},            {"tr|A0A146SKV9_|A_HUMAN", ""},
        {"tr|A0A146SKV9|A_HUMAN|x", ""},             {"tr|A0A146SKV9|A_", ""},
        {"tr|", ""},                                 {"tr|A0A146SKV9", ""},
        {"tr|A0A146SKV9|", ""},                      {"/tr|A0A146SKV9|A_HUMAN", ""},
        {"\ttr|A0A146SKV9|A_HUMAN\tx", "HUMAN"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char species[FF_SPECIES_SIZE];
        assert_string_equal(ff_identifiers_species(cases[i][0], species), cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_species),
        cmocka_unit_test(test_more_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
