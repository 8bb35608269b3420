/* SPDX-License-Identifier: Apache-2.0
 * test_log: levels, ranks, whole lines from many threads, and progress on and off a terminal.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/log.h"
#include "unit/testing.h"

static void say_all(void)
{
    ff_error("one %d", 1);
    ff_warn("two");
    ff_note("three");
    ff_info("four");
    ff_debug("five");
}

static void say_quiet(void)
{
    ff_log_set_level(FF_LOG_ERROR); /* warnings cannot be turned off */
    say_all();
}

static void say_verbose(void)
{
    ff_log_set_level(FF_LOG_DEBUG);
    say_all();
}

static void say_on_rank(void)
{
    ff_log_set_rank(3);
    say_all();
    struct ff_progress *p = ff_progress_start("stage", 2);
    ff_progress_end(p, NULL);
}

static void test_levels(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(test_exit_code(say_all, text, sizeof text), 0);
    assert_string_equal(text, "error: one 1\nwarning: two\nnote: three\nfour\n");
    test_exit_code(say_quiet, text, sizeof text);
    assert_string_equal(text, "error: one 1\nwarning: two\n");
    test_exit_code(say_verbose, text, sizeof text);
    assert_string_equal(text, "error: one 1\nwarning: two\nnote: three\nfour\nfive\n");
    test_exit_code(say_on_rank, text, sizeof text);
    assert_string_equal(text, "[rank 3] error: one 1\n[rank 3] warning: two\n");
}

static void *chatter(void *arg)
{
    for (int i = 0; i < 50; i++)
        ff_info("thread %d says a line of a fixed form", *(int *)arg);
    return NULL;
}

static void say_from_threads(void)
{
    pthread_t threads[4];
    int numbers[4] = {0, 1, 2, 3};
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, chatter, &numbers[i]);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void test_lines_stay_whole(void **state)
{
    (void)state;
    static char text[65536];
    test_exit_code(say_from_threads, text, sizeof text);
    int lines = 0, number;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL && *line;) {
        int used = 0;
        assert_int_equal(sscanf(line, "thread %d says a line of a fixed form%n", &number, &used), 1);
        assert_int_equal(line[used], '\0');
        lines++;
    }
    assert_int_equal(lines, 200);
}

/* Turns every time in text into 0.0 s and 0:00: how long things take depends on the machine's load. */
static void hide_times(char *text)
{
    char *to = text;
    for (const char *c = text; *c;) {
        size_t n = strspn(c, "0123456789");
        if (n > 0 && ((c[n] == '.' && strncmp(c + n + 2, " s", 2) == 0) || (c[n] == ':' && c[n + 1] != ' '))) {
            size_t len = c[n] == '.' ? 3 : 4;
            memcpy(to, c[n] == '.' ? "0.0" : "0:00", len); /* never longer than what it replaces */
            to += len;
            c += n + len - 1;
        } else {
            *to++ = *c++;
        }
    }
    *to = '\0';
}

static void run_progress(void)
{
    struct ff_progress *p = ff_progress_start("recycle", 4);
    for (int i = 0; i <= 4; i++)
        ff_progress_update(p, i, i == 2 ? "block 7" : NULL);
    ff_warn("in between");
    ff_progress_end(p, "pLDDT 91.5");
    ff_progress_end(NULL, NULL);
    p = ff_progress_start("search", 0);
    ff_progress_end(p, NULL);
}

static void test_progress_without_terminal(void **state)
{
    (void)state;
    char text[1024];
    test_exit_code(run_progress, text, sizeof text);
    hide_times(text);
    assert_string_equal(text, "recycle ...\nwarning: in between\nrecycle: done in 0.0 s (pLDDT 91.5)\n"
                              "search ...\nsearch: done in 0.0 s\n");
}

static void run_progress_quietly(void)
{
    ff_log_set_level(FF_LOG_WARNING);
    run_progress();
}

static void test_progress_is_hidden_by_quiet(void **state)
{
    (void)state;
    char text[1024];
    test_exit_code(run_progress_quietly, text, sizeof text);
    assert_string_equal(text, "warning: in between\n");
}

/* Runs f with a pseudo terminal as stderr and returns what was written to it. Skips the test where there are none, as
 * in a chroot without /dev/pts. */
static void capture_terminal(void (*f)(void), char *text, size_t size)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0)
        skip();
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    assert_true(slave >= 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("TERM", "xterm", 1);
        dup2(slave, STDERR_FILENO);
        f();
        _exit(0);
    }
    close(slave);
    size_t len = 0;
    for (ssize_t n; len + 1 < size && (n = read(master, text + len, size - 1 - len)) > 0;)
        len += (size_t)n; /* ends with EIO when the child is gone */
    text[len] = '\0';
    close(master);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void run_nested(void)
{
    struct ff_progress *outer = ff_progress_start("model", 10);
    ff_progress_update(outer, 5, NULL);
    usleep(150000); /* redraws come ten times a second at most */
    ff_progress_update(outer, 5, NULL);
    struct ff_progress *inner = ff_progress_start("recycle", 0);
    ff_info("a message");
    ff_progress_end(inner, NULL);
    ff_progress_end(outer, NULL);
}

static void test_progress_on_terminal(void **state)
{
    (void)state;
    char text[8192];
    capture_terminal(run_nested, text, sizeof text);
    hide_times(text);
    assert_non_null(strstr(text, "\r\033[Kmodel  [........................]   0%  0/10"));
    assert_non_null(strstr(text, "\r\033[Kmodel  [############............]  50%  5/10  0:00 left"));
    assert_non_null(strstr(text, "\r\033[Krecycle  0:00"));
    /* The line is wiped before a message and drawn again behind it; then the outer one comes back. */
    assert_non_null(strstr(text, "\r\033[Ka message\r\nrecycle  0:00"));
    assert_non_null(strstr(text, "\r\033[Krecycle: done in 0.0 s\r\nmodel  ["));
    assert_non_null(strstr(text, "model: done in 0."));
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void run_long(void)
{
    char detail[500];
    memset(detail, 'x', sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    struct ff_progress *p = ff_progress_start("stage", 3);
    usleep(150000);
    ff_progress_update(p, 1, detail);
    ff_progress_end(p, NULL);
}

static void test_progress_never_wraps(void **state)
{
    (void)state;
    char text[8192];
    capture_terminal(run_long, text, sizeof text);
    int longest = 0, column = 0;
    for (const char *c = text; *c; c++) {
        if (*c == '\r') {
            column = 0;
        } else if (*c == '\033') {
            c += 2; /* ESC [ K */
        } else if (*c != '\n' && ++column > longest) {
            longest = column;
        }
    }
    assert_true(strstr(text, "xxxx") != NULL);
    assert_true(longest == 79); /* a pty without a size counts as 80 columns */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_lines_stay_whole),
        cmocka_unit_test(test_progress_without_terminal),
        cmocka_unit_test(test_progress_is_hidden_by_quiet),
        cmocka_unit_test(test_progress_on_terminal),
        cmocka_unit_test(test_progress_never_wraps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
