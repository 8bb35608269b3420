/* SPDX-License-Identifier: Apache-2.0
 * test_status: messages, their context, their threads, and the end of the program.
 */
#include <errno.h>
#include <pthread.h>

#include "unit/testing.h"

static void test_fail_sets_message(void **state)
{
    (void)state;
    assert_int_equal(ff_fail(FF_EINPUT, "%s:%d: bad", "a.fasta", 3), FF_EINPUT);
    assert_string_equal(ff_status_message(), "a.fasta:3: bad");
    ff_fail(FF_EIO, "again");
    assert_string_equal(ff_status_message(), "again");
    ff_status_clear();
    assert_string_equal(ff_status_message(), "");
}

static void test_context_is_put_in_front(void **state)
{
    (void)state;
    ff_fail(FF_EINPUT, "inner");
    assert_int_equal(ff_context(FF_EINPUT, "file %d", 7), FF_EINPUT);
    assert_int_equal(ff_context(FF_EINPUT, "outer"), FF_EINPUT);
    assert_string_equal(ff_status_message(), "outer: file 7: inner");
    assert_int_equal(ff_context(FF_OK, "not this"), FF_OK);
    assert_string_equal(ff_status_message(), "outer: file 7: inner");
}

static void test_message_may_quote_itself(void **state)
{
    (void)state;
    ff_fail(FF_EINPUT, "first");
    ff_fail(FF_EIO, "second after %s", ff_status_message());
    assert_string_equal(ff_status_message(), "second after first");
}

static void test_fail_errno_appends_reason(void **state)
{
    (void)state;
    errno = ENOENT;
    assert_int_equal(ff_fail_errno(FF_EMISSING, "x.npz"), FF_EMISSING);
    assert_string_equal(ff_status_message(), "x.npz: No such file or directory");
}

static void test_long_message_is_marked(void **state)
{
    (void)state;
    size_t n = 100000;
    char *text = ff_xmalloc(n + 1);
    memset(text, 'a', n);
    text[n] = '\0';
    ff_fail(FF_EINPUT, "%s", text);
    size_t len = strlen(ff_status_message());
    assert_true(len > 8192 && len < n);
    assert_string_equal(ff_status_message() + len - 4, "a...");
    ff_context(FF_EINPUT, "front");
    assert_memory_equal(ff_status_message(), "front: aaa", 10);
    len = strlen(ff_status_message());
    assert_string_equal(ff_status_message() + len - 4, "a...");
    free(text);
}

static void *fail_in_thread(void *arg)
{
    (void)arg;
    ff_fail(FF_EIO, "of the thread");
    return NULL;
}

static void test_message_is_per_thread(void **state)
{
    (void)state;
    ff_fail(FF_EINPUT, "of main");
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, fail_in_thread, NULL), 0);
    pthread_join(t, NULL);
    assert_string_equal(ff_status_message(), "of main");
}

static ff_status try_one(ff_status result, int *reached)
{
    FF_TRY(result);
    *reached = 1;
    return FF_OK;
}

static ff_status try_goto(ff_status result)
{
    ff_status st;
    FF_TRY_GOTO(st, result, out);
    return FF_EUSAGE;
out:
    return st;
}

static void test_try(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try_one(FF_EGPU, &reached), FF_EGPU);
    assert_int_equal(reached, 0);
    assert_int_equal(try_one(FF_OK, &reached), FF_OK);
    assert_int_equal(reached, 1);
    assert_int_equal(try_goto(FF_EIO), FF_EIO);
    assert_int_equal(try_goto(FF_OK), FF_EUSAGE);
}

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(ff_status_name(FF_OK), "ok");
    assert_string_equal(ff_status_name(FF_EINPUT), "bad input");
    assert_string_equal(ff_status_name(FF_ETERMINATE), "terminated");
    assert_string_equal(ff_status_name((ff_status)77), "unknown status");
}

static void print_hook(void)
{
    fputs("hook ran\n", stderr);
}

static void failing_hook(void)
{
    ff_die(FF_EIO, "hook.c", 1, "failure inside the hook");
}

static void die_plainly(void)
{
    ff_die_set_hook(print_hook, -1);
    ff_die(FF_EGPU, "src/x.c", 12, "call %d failed", 3);
}

static void die_on_rank(void)
{
    ff_die_set_hook(failing_hook, 5);
    FF_ASSERT(1 + 1 == 3);
}

static void test_die(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(test_exit_code(die_plainly, text, sizeof text), FF_EGPU);
    assert_string_equal(text, "fastfold: GPU error: call 3 failed (src/x.c:12)\nhook ran\n");
    assert_int_equal(test_exit_code(die_on_rank, text, sizeof text), FF_EIO);
    assert_non_null(strstr(text, "internal error: assertion failed: 1 + 1 == 3 ("));
    assert_non_null(strstr(text, "test_status.c:"));
    assert_non_null(strstr(text, ", rank 5)\n"));
    assert_null(strstr(text, "inside the hook"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fail_sets_message),      cmocka_unit_test(test_context_is_put_in_front),
        cmocka_unit_test(test_message_may_quote_itself), cmocka_unit_test(test_fail_errno_appends_reason),
        cmocka_unit_test(test_long_message_is_marked), cmocka_unit_test(test_message_is_per_thread),
        cmocka_unit_test(test_try),                    cmocka_unit_test(test_names),
        cmocka_unit_test(test_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
