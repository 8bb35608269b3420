/* SPDX-License-Identifier: Apache-2.0
 * residue: every table against the values of AlphaFold's residue_constants.py (test/data/residue_tables.npz, made by
 * running it under numpy).
 */
#include "unit/testing.h"

#include <pthread.h>

#include "bio/msa.h"
#include "bio/residue.h"
#include "format/npz.h"

static struct ff_arrays golden;

static int load_golden(void **state)
{
    (void)state;
    return ff_npz_load("test/data/residue_tables.npz", &golden) != FF_OK;
}

static int free_golden(void **state)
{
    (void)state;
    ff_arrays_free(&golden);
    return 0;
}

/* The member as an array of this dtype, bit for bit the golden one but for the sign of zeros. */
static void check_member(const char *name, enum ff_dtype dtype, const void *data, size_t bytes)
{
    const struct ff_array *expected = ff_arrays_find(&golden, name);
    assert_non_null(expected);
    struct ff_array got = *expected;
    assert_int_equal(expected->dtype, dtype);
    assert_int_equal(ff_array_bytes(expected), bytes);
    got.data = (void *)(uintptr_t)data;
    test_assert_array(name, &got, expected, 0.0);
}

static void test_tables(void **state)
{
    (void)state;
    const struct ff_residue_tables *t = ff_residue_tables();
    check_member("atom14_names", FF_U8, t->atom14_names, sizeof t->atom14_names);
    check_member("atom14_to_atom37", FF_I32, t->atom14_to_atom37, sizeof t->atom14_to_atom37);
    check_member("atom37_to_atom14", FF_I32, t->atom37_to_atom14, sizeof t->atom37_to_atom14);
    check_member("atom14_mask", FF_F32, t->atom14_mask, sizeof t->atom14_mask);
    check_member("atom37_mask", FF_F32, t->atom37_mask, sizeof t->atom37_mask);
    check_member("chi_atoms", FF_I32, t->chi_atoms, sizeof t->chi_atoms);
    check_member("chi_mask", FF_F32, t->chi_mask, sizeof t->chi_mask);
    check_member("chi_pi_periodic", FF_F32, t->chi_pi_periodic, sizeof t->chi_pi_periodic);
    check_member("atom14_rigid_group", FF_I32, t->atom14_rigid_group, sizeof t->atom14_rigid_group);
    check_member("atom14_positions", FF_F32, t->atom14_positions, sizeof t->atom14_positions);
    check_member("default_frames", FF_F32, t->default_frames, sizeof t->default_frames);
}

static void test_atom_slots_agree(void **state)
{
    (void)state;
    const struct ff_residue_tables *t = ff_residue_tables();
    for (int r = 0; r < FF_N_RESTYPE; r++)
        for (int a = 0; a < FF_N_ATOM14; a++) {
            const char *name = t->atom14_names[r][a];
            if (!name[0])
                continue;
            int slot = t->atom14_to_atom37[r][a];
            assert_string_equal(name, ff_residue_atom37_names[slot]);
            assert_int_equal(slot, ff_residue_atom37_index(name, strlen(name)));
            assert_int_equal(t->atom37_to_atom14[r][slot], a);
        }
    assert_string_equal(ff_residue_atom37_names[FF_ATOM_N], "N");
    assert_string_equal(ff_residue_atom37_names[FF_ATOM_CA], "CA");
    assert_string_equal(ff_residue_atom37_names[FF_ATOM_C], "C");
    assert_string_equal(ff_residue_atom37_names[FF_ATOM_CB], "CB");
    assert_string_equal(ff_residue_atom37_names[FF_ATOM_O], "O");
    assert_string_equal(ff_residue_atom37_names[FF_ATOM_OXT], "OXT");
    assert_int_equal(ff_residue_atom37_index("C", 1), 2);
    assert_int_equal(ff_residue_atom37_index("CAX", 3), -1);
    assert_int_equal(ff_residue_atom37_index("", 0), -1);
}

static void test_letters_and_names(void **state)
{
    (void)state;
    for (int i = 0; i <= FF_RESTYPE_GAP; i++)
        assert_int_equal(ff_residue_from_letter(ff_residue_letters[i]), i);
    for (const char *c = "BJOUZxa*1 "; *c; c++)
        assert_int_equal(ff_residue_from_letter(*c), FF_RESTYPE_X);
    assert_int_equal(ff_residue_from_letter('\0'), FF_RESTYPE_X);
    assert_int_equal(ff_residue_from_letter((char)0xC3), FF_RESTYPE_X);
    for (int i = 0; i < FF_N_RESTYPE; i++)
        assert_int_equal(ff_residue_from_name(ff_residue_names[i]), i);
    assert_int_equal(ff_residue_from_name("UNK"), FF_RESTYPE_X);
    assert_int_equal(ff_residue_from_name("MSE"), FF_RESTYPE_X);
    assert_int_equal(ff_residue_from_name("ala"), FF_RESTYPE_X);
    assert_string_equal(ff_residue_names[17], "TRP");
}

/* Going from a letter to the HHblits number and on to our order gives the letter's residue type. */
static void test_hhblits_order(void **state)
{
    (void)state;
    for (int i = 0; i <= FF_RESTYPE_GAP; i++) {
        int id = ff_msa_hhblits_id(ff_residue_letters[i]);
        assert_in_range(id, 0, FF_RESTYPE_GAP);
        assert_int_equal(ff_residue_from_hhblits[id], i);
    }
    assert_int_equal(ff_msa_hhblits_id('B'), ff_msa_hhblits_id('D'));
    assert_int_equal(ff_msa_hhblits_id('Z'), ff_msa_hhblits_id('E'));
    assert_int_equal(ff_msa_hhblits_id('U'), ff_msa_hhblits_id('C'));
    assert_int_equal(ff_msa_hhblits_id('J'), 20);
    assert_int_equal(ff_msa_hhblits_id('O'), 20);
    for (const char *c = "a.*1 _"; *c; c++)
        assert_int_equal(ff_msa_hhblits_id(*c), -1);
}

static void *get_tables(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)ff_residue_tables();
}

static void test_one_set_for_all_threads(void **state)
{
    (void)state;
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, get_tables, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *ret;
        pthread_join(thread[i], &ret);
        assert_ptr_equal(ret, ff_residue_tables());
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_set_for_all_threads),
        cmocka_unit_test(test_tables),
        cmocka_unit_test(test_atom_slots_agree),
        cmocka_unit_test(test_letters_and_names),
        cmocka_unit_test(test_hhblits_order),
    };
    return cmocka_run_group_tests(tests, load_golden, free_golden);
}
