/* SPDX-License-Identifier: Apache-2.0
 * fasta: what is accepted, what is changed on the way, and every kind of bad input with its message.
 */
#include "unit/testing.h"

#include <zlib.h>

#include "bio/fasta.h"

static struct ff_fasta parsed;

static ff_status parse(const char *text)
{
    return ff_fasta_parse("q.fasta", text, strlen(text), false, &parsed);
}

static ff_status parse_complex(const char *text)
{
    return ff_fasta_parse("q.fasta", text, strlen(text), true, &parsed);
}

static void test_records(void **state)
{
    (void)state;
    assert_ok(parse(">one first protein \nMKV\nLAA\n\n>two\n GTW\tWR \n"));
    assert_int_equal(parsed.count, 2);
    const struct ff_fasta_record *r = parsed.records;
    assert_string_equal(r[0].name, "one");
    assert_string_equal(r[0].header, "one first protein");
    assert_string_equal(r[0].sequence, "MKVLAA");
    assert_int_equal(r[0].n_residue, 6);
    assert_int_equal(r[0].n_chain, 1);
    assert_int_equal(r[0].line, 1);
    assert_int_equal(r[0].n_folded + r[0].n_star + r[0].n_unknown, 0);
    assert_null(r[0].unknown);
    assert_string_equal(r[1].sequence, "GTWWR");
    assert_int_equal(r[1].line, 5);
    ff_fasta_free(&parsed);
    assert_null(parsed.records);
}

static void test_line_ends(void **state)
{
    (void)state;
    const char *texts[] = {
        ">q\nMKV\nLA\n", ">q\r\nMKV\r\nLA\r\n",       ">q\rMKV\rLA\r",
        ">q\nMKV\nLA",   "\xEF\xBB\xBF>q\nMKV\nLA\n", "\n\n  >q\nMKV\nLA\n\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        assert_ok(parse(texts[i]));
        assert_int_equal(parsed.count, 1);
        assert_string_equal(parsed.records[0].name, "q");
        assert_string_equal(parsed.records[0].sequence, "MKVLA");
        ff_fasta_free(&parsed);
    }
}

static void test_changed_on_the_way(void **state)
{
    (void)state;
    assert_ok(parse(">q\nmkVla\nGT*\n"));
    assert_string_equal(parsed.records[0].sequence, "MKVLAGT");
    assert_int_equal(parsed.records[0].n_folded, 4);
    assert_int_equal(parsed.records[0].n_star, 1);
    ff_fasta_free(&parsed);

    assert_ok(parse(">q\nMKBZ\nUOJX\n"));
    assert_string_equal(parsed.records[0].sequence, "MKBZUOJX");
    assert_int_equal(parsed.records[0].n_unknown, 6);
    assert_string_equal(parsed.records[0].unknown, "B3 Z4 U5 O6 J7 X8");
    ff_fasta_free(&parsed);

    assert_ok(parse(">q\nXXXXXXXXXXXX\n"));
    assert_int_equal(parsed.records[0].n_unknown, 12);
    assert_string_equal(parsed.records[0].unknown, "X1 X2 X3 X4 X5 X6 X7 X8 X9 X10 ...");
    ff_fasta_free(&parsed);
}

static void test_refused_characters(void **state)
{
    (void)state;
    assert_fails(parse(">q\nMKV\nLA-GT\n"), FF_EINPUT, "q.fasta:3: record 'q', column 3 (residue 6): found '-'");
    assert_fails(parse(">q\nMK.V\n"), FF_EINPUT, "column 3 (residue 3): found '.'; a query has no gaps");
    assert_fails(parse(">q\n 1 MKV\n"), FF_EINPUT, "q.fasta:2: record 'q', column 2 (residue 1): found '1'; remove");
    assert_fails(parse(">q\nMKV\n>r\nMK!\n"), FF_EINPUT, "q.fasta:4: record 'r', column 3");
    assert_fails(parse(">q\nMK\xC3\xA4\n"), FF_EINPUT, "found 0xC3");
    assert_fails(parse(">q\nMK*VL\n"), FF_EINPUT, "q.fasta:2: record 'q', column 3");
    assert_fails(parse(">q\nMKV*\nLA\n"), FF_EINPUT, "'*' may only stand at the end");
    assert_fails(parse(">q\nMKV:LA\n"), FF_EINPUT, "found ':'; ':' joins the chains of a complex");
    assert_fails(ff_fasta_parse("f", ">q\nMK\0V\n", 8, false, &parsed), FF_EINPUT, "found 0x00");
    assert_null(parsed.records);
}

static void test_refused_files(void **state)
{
    (void)state;
    assert_fails(parse(""), FF_EINPUT, "q.fasta: no sequence in the file");
    assert_fails(parse("\n \n"), FF_EINPUT, "no sequence in the file");
    assert_fails(parse("\xEF\xBB\xBF"), FF_EINPUT, "no sequence in the file");
    assert_fails(parse("\nMKV\n>q\nMKV\n"), FF_EINPUT, "q.fasta:2: the text starts with 'M'");
    assert_fails(parse(">q\n>r\nMKV\n"), FF_EINPUT, "q.fasta:1: record 'q' has no sequence");
    assert_fails(parse(">q\nMKV\n>r\n"), FF_EINPUT, "q.fasta:3: record 'r' has no sequence");
    assert_fails(parse(">q\n*\n"), FF_EINPUT, "has no sequence");
    assert_fails(parse(">q\nM\n"), FF_EINPUT, "1 residue(s); the shortest accepted one has 2");
    assert_ok(parse(">q\nMK\n"));
    ff_fasta_free(&parsed);
    assert_fails(ff_fasta_load("test/data/no_such_file.fasta", false, &parsed), FF_EMISSING, "no_such_file.fasta");
}

static void test_duplicate_names(void **state)
{
    (void)state;
    assert_fails(parse(">q one\nMKV\n>r\nMK\n>q two\nMKL\n"), FF_EINPUT,
                 "q.fasta:5: record 'q' has the same name as the record in line 1");
    assert_fails(parse(">a|b\nMKV\n>a_b\nMKL\n"), FF_EINPUT, "record 'a_b'");
    assert_ok(parse(">q\nMKV\n>Q\nMKV\n"));
    ff_fasta_free(&parsed);
}

static void test_names(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"4OT", "4OT"}, {"sp|P0C2L1|A3X1_LOXLA", "sp_P0C2L1_A3X1_LOXLA"}, {"../../etc/passwd", "_._.._etc_passwd"},
        {"-rf", "_rf"}, {".hidden", "_hidden"}, {"a.b-c", "a.b-c"}, {"\xC3\xA4", "__"}, {"", ""}, {"a b", "a_b"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *name = ff_fasta_safe_name(cases[i][0], strlen(cases[i][0]));
        assert_string_equal(name, cases[i][1]);
        free(name);
    }
    char longest[300], text[400];
    memset(longest, 'n', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    snprintf(text, sizeof text, ">%s\nMKV\n>\nMKV\n", longest);
    assert_ok(parse(text));
    assert_int_equal(strlen(parsed.records[0].name), FF_FASTA_NAME_MAX);
    assert_string_equal(parsed.records[0].header, longest);
    assert_string_equal(parsed.records[1].name, "sequence_2");
    assert_string_equal(parsed.records[1].header, "");
    ff_fasta_free(&parsed);
}

static void test_complexes(void **state)
{
    (void)state;
    assert_ok(parse_complex(">c\nMKV:\nLAAU*:LAAU\n"));
    assert_string_equal(parsed.records[0].sequence, "MKV:LAAU:LAAU");
    assert_int_equal(parsed.records[0].n_chain, 3);
    assert_int_equal(parsed.records[0].n_residue, 11);
    assert_string_equal(parsed.records[0].unknown, "U7 U11");
    ff_fasta_free(&parsed);
    assert_fails(parse_complex(">c\nMKV::LAA\n"), FF_EINPUT, "chain 2 is empty");
    assert_fails(parse_complex(">c\nMKV:\n"), FF_EINPUT, "chain 2 is empty");
    assert_fails(parse_complex(">c\n:MKV\n"), FF_EINPUT, "record 'c'");
    assert_fails(parse_complex(">c\nMKV:L\n"), FF_EINPUT, "chain 2 has 1 residue(s)");
    assert_fails(parse_complex(">c\nMKV*L:LAA\n"), FF_EINPUT, "found '*'");
}

static void test_files(void **state)
{
    (void)state;
    char *dir = test_make_dir();
    char *path = ff_path_join(dir, "q.fasta.gz");
    gzFile gz = gzopen(path, "wb");
    assert_non_null(gz);
    gzputs(gz, ">zipped\nMKVLA\n");
    assert_int_equal(gzclose(gz), Z_OK);
    assert_ok(ff_fasta_load(path, false, &parsed));
    assert_string_equal(parsed.records[0].name, "zipped");
    assert_string_equal(parsed.records[0].sequence, "MKVLA");
    ff_fasta_free(&parsed);
    free(path);

    path = ff_path_join(dir, "bad.fasta");
    assert_ok(ff_file_write(path, ">q\nMK7\n", 7));
    assert_fails(ff_fasta_load(path, false, &parsed), FF_EINPUT, "bad.fasta:2:");
    free(path);
    test_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),          cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_changed_on_the_way), cmocka_unit_test(test_refused_characters),
        cmocka_unit_test(test_refused_files),    cmocka_unit_test(test_duplicate_names),
        cmocka_unit_test(test_names),            cmocka_unit_test(test_complexes),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
