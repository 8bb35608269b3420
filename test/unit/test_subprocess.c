/* SPDX-License-Identifier: Apache-2.0
 * test_subprocess: results, pipes, failures and the killing of whole process groups, with /bin/sh as the program.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/subprocess.h"
#include "unit/testing.h"

struct collected {
    struct ff_strbuf text;
    size_t limit;                /* stop after so many bytes; 0: never */
};

static bool collect(void *user, const char *data, size_t len)
{
    struct collected *c = user;
    ff_strbuf_append(&c->text, data, len);
    return c->limit == 0 || c->text.len < c->limit;
}

#define SH(script) ((const char *const[]){"sh", "-c", (script), NULL})

static void test_output_and_exit_code(void **state)
{
    (void)state;
    struct collected c = {0};
    struct ff_subprocess_result r;
    assert_ok(ff_subprocess_run(SH("echo out; echo err >&2; exit 7"), NULL, collect, &c, &r));
    assert_int_equal(r.exit_code, 7);
    assert_int_equal(r.signal, 0);
    assert_string_equal(ff_strbuf_cstr(&c.text), "out\n");
    assert_string_equal(ff_strbuf_cstr(&r.stderr_tail), "err\n");
    assert_true(r.wall_seconds > 0 && r.wall_seconds < 20);
    ff_strbuf_free(&c.text);
    ff_subprocess_result_free(&r);
}

static void test_arguments_are_not_a_shell_line(void **state)
{
    (void)state;
    struct collected c = {0};
    struct ff_subprocess_result r;
    const char *const argv[] = {"printf", "%s|%s", "a b; echo c", "$HOME 'q'", NULL};
    assert_ok(ff_subprocess_run(argv, NULL, collect, &c, &r));
    assert_string_equal(ff_strbuf_cstr(&c.text), "a b; echo c|$HOME 'q'");
    ff_strbuf_free(&c.text);
    ff_subprocess_result_free(&r);
}

static void test_signal(void **state)
{
    (void)state;
    struct ff_subprocess_result r;
    assert_ok(ff_subprocess_run(SH("kill -TERM $$"), NULL, NULL, NULL, &r));
    assert_int_equal(r.exit_code, -1);
    assert_int_equal(r.signal, SIGTERM);
    ff_subprocess_result_free(&r);
    assert_fails(ff_subprocess_check(SH("kill -KILL $$"), NULL, NULL, NULL, NULL), FF_ETOOL, "signal 9 (SIGKILL)");
    assert_non_null(strstr(ff_status_message(), "memory"));
}

static void test_not_startable(void **state)
{
    (void)state;
    struct ff_subprocess_result r;
    const char *const missing[] = {"no-such-program-anywhere", "x", NULL}, *const not_program[] = {"/etc/passwd", NULL};
    assert_fails(ff_subprocess_run(missing, NULL, NULL, NULL, &r), FF_ETOOL, "not found on PATH");
    assert_null(r.stderr_tail.s);
    assert_fails(ff_subprocess_run(not_program, NULL, NULL, NULL, &r), FF_ETOOL, "/etc/passwd");
    assert_fails(ff_subprocess_run(SH("true"), "/no/such/dir", NULL, NULL, &r), FF_ETOOL, "/no/such/dir");

    /* A file with the right mode that the kernel cannot run. */
    char *dir = test_make_dir(), *path = ff_path_join(dir, "broken");
    assert_ok(ff_file_write(path, "\x7f" "ELF-not", 8));
    assert_int_equal(chmod(path, 0755), 0);
    const char *const broken[] = {path, NULL};
    assert_fails(ff_subprocess_run(broken, NULL, NULL, NULL, &r), FF_ETOOL, "cannot be started: Exec format error");
    free(path);
    test_remove_dir(dir);
}

static void test_check_reports(void **state)
{
    (void)state;
    struct ff_subprocess_result r;
    assert_fails(ff_subprocess_check(SH("echo 'disk is full' >&2; exit 3"), NULL, NULL, NULL, &r), FF_ETOOL,
                 "sh: failed with exit code 3\n  command: sh -c 'echo '\\''disk is full'\\'' >&2; exit 3'\n"
                 "  its last lines on stderr:\n    disk is full");
    assert_int_equal(r.exit_code, 3);
    assert_null(r.stderr_tail.s); /* nothing to free after a failure */
    assert_fails(ff_subprocess_check(SH("exit 1"), NULL, NULL, NULL, NULL), FF_ETOOL, "nothing to stderr");
    assert_ok(ff_subprocess_check(SH("exit 0"), NULL, NULL, NULL, &r));
    ff_subprocess_result_free(&r);
}

static void test_working_dir_and_stdin(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *real = realpath(dir, NULL);
    struct collected c = {0};
    assert_ok(ff_subprocess_check(SH("pwd -P; cat; echo end"), dir, collect, &c, NULL)); /* stdin is empty */
    char *expected = ff_xasprintf("%s\nend\n", real);
    assert_string_equal(ff_strbuf_cstr(&c.text), expected);
    free(expected);
    free(real);
    ff_strbuf_free(&c.text);
    test_remove_dir(dir);
}

static void test_relative_program_with_working_dir(void **state)
{
    (void)state;
    char *dir = test_make_dir(), *old = getcwd(NULL, 0), *script = ff_path_join(dir, "tool");
    assert_ok(ff_file_write(script, "#!/bin/sh\necho ran\n", 19));
    assert_int_equal(chmod(script, 0755), 0);
    assert_int_equal(chdir(dir), 0);
    struct collected c = {0};
    const char *const argv[] = {"./tool", NULL};
    ff_status st = ff_subprocess_check(argv, "/", collect, &c, NULL); /* relative to us, not to "/" */
    assert_int_equal(chdir(old), 0);
    assert_ok(st);
    assert_string_equal(ff_strbuf_cstr(&c.text), "ran\n");
    ff_strbuf_free(&c.text);
    free(script);
    free(old);
    test_remove_dir(dir);
}

/* Both pipes fill at once: reading one to its end before the other would stand still for ever. */
static void test_large_output_on_both(void **state)
{
    (void)state;
    struct collected c = {0};
    struct ff_subprocess_result r;
    assert_ok(ff_subprocess_run(SH("i=0; while [ $i -lt 20000 ]; do echo \"line $i of the standard output\"; "
                                   "echo \"line $i of the error output\" >&2; i=$((i+1)); done"),
                                NULL, collect, &c, &r));
    assert_int_equal(r.exit_code, 0);
    assert_true(c.text.len > 600000);
    assert_non_null(strstr(c.text.s, "line 0 of the standard"));
    assert_string_equal(c.text.s + c.text.len - 34, "line 19999 of the standard output\n");
    assert_int_equal(r.stderr_tail.len, 8192);
    assert_string_equal(r.stderr_tail.s + 8192 - 31, "line 19999 of the error output\n");
    ff_strbuf_free(&c.text);
    ff_subprocess_result_free(&r);
}

static void test_early_close(void **state)
{
    (void)state;
    struct collected c = {.limit = 1000};
    struct ff_subprocess_result r;
    const char *const argv[] = {"yes", NULL};
    assert_ok(ff_subprocess_check(argv, NULL, collect, &c, &r)); /* would never end by itself */
    assert_int_equal(r.signal, SIGPIPE);
    assert_true(c.text.len >= 1000);
    ff_strbuf_free(&c.text);
    ff_subprocess_result_free(&r);
    /* SIGPIPE that we did not cause is an error. */
    assert_fails(ff_subprocess_check(SH("kill -PIPE $$"), NULL, NULL, NULL, NULL), FF_ETOOL, "SIGPIPE");
}

static void test_signal_settings_are_not_inherited(void **state)
{
    (void)state;
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &block, &before);
    struct collected c = {.limit = 10};
    const char *const argv[] = {"yes", NULL};
    ff_status st = ff_subprocess_check(argv, NULL, collect, &c, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    signal(SIGPIPE, old);
    assert_ok(st);
    ff_strbuf_free(&c.text);
}

static void test_files_are_not_inherited(void **state)
{
    (void)state;
    int fds[2];
    assert_int_equal(pipe(fds), 0); /* without CLOEXEC, as a library may open them */
    struct collected c = {0};
    assert_ok(ff_subprocess_check(SH("ls /proc/self/fd | wc -l"), NULL, collect, &c, NULL));
    assert_int_equal(strtol(ff_strbuf_cstr(&c.text), NULL, 10), 4); /* 0, 1, 2 and the folder itself */
    close(fds[0]);
    close(fds[1]);
    ff_strbuf_free(&c.text);
}

static void test_stray_child_does_not_block(void **state)
{
    (void)state;
    struct collected c = {0};
    double start = ff_clock_now();
    assert_ok(ff_subprocess_check(SH("sleep 60 & echo done"), NULL, collect, &c, NULL));
    assert_true(ff_clock_now() - start < 20);
    assert_string_equal(ff_strbuf_cstr(&c.text), "done\n");
    ff_strbuf_free(&c.text);
}

static void test_resources(void **state)
{
    (void)state;
    struct ff_subprocess_result r;
    assert_ok(ff_subprocess_run(SH("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 0.3"), NULL, NULL, NULL,
                                &r));
    assert_true(r.cpu_seconds > 0.005 && r.cpu_seconds <= r.wall_seconds + 0.1);
    assert_true(r.wall_seconds >= 0.3);
    assert_true(r.peak_rss > 100000 && r.peak_rss < (size_t)1 << 30);
    ff_subprocess_result_free(&r);
}

/* --- killing --- */

static void *run_sleeper(void *arg)
{
    struct ff_subprocess_result *r = arg;
    /* The shell and its child are one group; without the group the grandchild would hold the pipe for a minute. */
    if (ff_subprocess_run(SH("sleep 60; true"), NULL, NULL, NULL, r) != FF_OK)
        r->signal = -1;
    return NULL;
}

static void test_kill_all(void **state)
{
    (void)state;
    pthread_t threads[3];
    struct ff_subprocess_result r[3];
    double start = ff_clock_now();
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_sleeper, &r[i]), 0);
    usleep(200000);
    ff_subprocess_kill_all(SIGTERM);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(r[i].signal, SIGTERM);
        ff_subprocess_result_free(&r[i]);
    }
    assert_true(ff_clock_now() - start < 30);
    /* A later program is not hit by the earlier call. */
    assert_ok(ff_subprocess_check(SH("sleep 0.05"), NULL, NULL, NULL, NULL));
}

static void test_many_at_once(void **state)
{
    (void)state;
    enum { N = 8 };
    pthread_t threads[N];
    struct ff_subprocess_result r[N];
    for (int i = 0; i < N; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_sleeper, &r[i]), 0);
    for (int i = 0; i < 100; i++) { /* hits children in every state of starting */
        ff_subprocess_kill_all(SIGKILL);
        usleep(10000);
    }
    for (int i = 0; i < N; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(r[i].signal, SIGKILL);
        ff_subprocess_result_free(&r[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_and_exit_code),
        cmocka_unit_test(test_arguments_are_not_a_shell_line),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_not_startable),
        cmocka_unit_test(test_check_reports),
        cmocka_unit_test(test_working_dir_and_stdin),
        cmocka_unit_test(test_relative_program_with_working_dir),
        cmocka_unit_test(test_large_output_on_both),
        cmocka_unit_test(test_early_close),
        cmocka_unit_test(test_signal_settings_are_not_inherited),
        cmocka_unit_test(test_files_are_not_inherited),
        cmocka_unit_test(test_stray_child_does_not_block),
        cmocka_unit_test(test_resources),
        cmocka_unit_test(test_kill_all),
        cmocka_unit_test(test_many_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
