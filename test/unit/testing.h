/* SPDX-License-Identifier: Apache-2.0
 * testing: what unit tests share: paths of test data, temporary folders, and checks of statuses and arrays.
 *
 * Tests run from the repository's root. Small data lie in test/data; the large golden files are used where
 * $FF_GOLDEN or ../shared/golden exists, and cmocka reports the tests that skip() without them.
 */
#ifndef FF_TEST_UNIT_TESTING_H
#define FF_TEST_UNIT_TESTING_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/status.h"
#include "format/array.h"

/* --- statuses --- */

#define assert_ok(call)                                                          \
    do {                                                                         \
        ff_status assert_st_ = (call);                                           \
        if (assert_st_ != FF_OK)                                                 \
            fail_msg("%s: status %d: %s", #call, assert_st_, ff_status_message()); \
    } while (0)

/* The call fails with this code, and the message contains text. */
#define assert_fails(call, code, text)                                                                   \
    do {                                                                                                 \
        ff_status assert_st_ = (call);                                                                   \
        if (assert_st_ != (code))                                                                        \
            fail_msg("%s: status %d instead of %d: %s", #call, assert_st_, (code), ff_status_message()); \
        if (strstr(ff_status_message(), (text)) == NULL)                                                 \
            fail_msg("%s: the message lacks \"%s\": %s", #call, (text), ff_status_message());            \
    } while (0)

/* --- paths --- */

/* Path of a golden file given relative to the golden folder; NULL when it is not there. Caller frees. */
static inline char *test_golden_path(const char *relative)
{
    const char *dir = getenv("FF_GOLDEN");
    char *path = ff_path_join(dir && *dir ? dir : "../shared/golden", relative);
    if (ff_file_exists(path))
        return path;
    free(path);
    return NULL;
}

/* Path below test/data when the file is there, otherwise in the golden folder; NULL when neither has it. */
static inline char *test_data_path(const char *relative)
{
    char *path = ff_path_join("test/data", relative);
    if (ff_file_exists(path))
        return path;
    free(path);
    return test_golden_path(relative);
}

/* A new folder below $TMPDIR or /tmp. Caller frees the path, and removes the folder with test_remove_dir. */
static inline char *test_make_dir(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = NULL;
    assert_ok(ff_make_temp_dir(tmp && *tmp ? tmp : "/tmp", "fftest", &dir));
    return dir;
}

static inline void test_remove_dir(char *dir)
{
    assert_ok(ff_remove_tree(dir));
    free(dir);
}

/* --- arrays --- */

static inline double test_element(const struct ff_array *a, int64_t i)
{
    switch (a->dtype) {
    case FF_F32: return ((const float *)a->data)[i];
    case FF_F64: return ((const double *)a->data)[i];
    case FF_I32: return ((const int32_t *)a->data)[i];
    case FF_I64: return (double)((const int64_t *)a->data)[i];
    case FF_U8:
    case FF_BOOL: return ((const uint8_t *)a->data)[i];
    case FF_BF16: return ff_bf16_to_f32(((const uint16_t *)a->data)[i]);
    case FF_F16: return ff_f16_to_f32(((const uint16_t *)a->data)[i]);
    }
    return NAN;
}

/* Same shape and dtype; every element within tolerance (absolute) of the other's, 0: equal. what names it. */
static inline void test_assert_array(const char *what, const struct ff_array *got, const struct ff_array *expected,
                                     double tolerance)
{
    char a[128], b[128];
    if (got == NULL || expected == NULL)
        fail_msg("%s: %s is missing", what, got ? "the expected array" : "the array");
    ff_array_shape_text(got, a, sizeof a);
    ff_array_shape_text(expected, b, sizeof b);
    if (got->dtype != expected->dtype || strcmp(a, b) != 0)
        fail_msg("%s: %s %s instead of %s %s", what, ff_dtype_name(got->dtype), a, ff_dtype_name(expected->dtype), b);
    for (int64_t i = 0; i < ff_array_count(got); i++) {
        double x = test_element(got, i), y = test_element(expected, i);
        if (!(fabs(x - y) <= tolerance) && !(isnan(x) && isnan(y)))
            fail_msg("%s %s: element %lld is %.9g instead of %.9g", what, a, (long long)i, x, y);
    }
}

/* max|got - expected| / max|expected| over n floats; infinite where got is not finite or expected is all zero and got
 * is not. One number for a whole array, blind to the scale of its values. */
static inline double test_relative_error(const float *got, const float *expected, size_t n)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < n; i++) {
        double difference = fabs((double)got[i] - (double)expected[i]);
        if (!isfinite(got[i]))
            return INFINITY;
        worst = difference > worst ? difference : worst;
        largest = fabs((double)expected[i]) > largest ? fabs((double)expected[i]) : largest;
    }
    return worst == 0 ? 0 : worst / largest;
}

/* ||got - expected|| / ||expected||: less kind to an array that is a little wrong everywhere. */
static inline double test_norm_error(const float *got, const float *expected, size_t n)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < n; i++) {
        double d = (double)got[i] - (double)expected[i];
        if (!isfinite(got[i]))
            return INFINITY;
        difference += d * d;
        norm += (double)expected[i] * (double)expected[i];
    }
    return difference == 0 ? 0 : sqrt(difference / norm);
}

/* Both errors are at most limit. */
static inline void test_assert_close(const char *what, const float *got, const float *expected, size_t n, double limit)
{
    double largest = test_relative_error(got, expected, n), norm = test_norm_error(got, expected, n);
    if (!(largest <= limit) || !(norm <= limit))
        fail_msg("%s: relative error %.3g (largest), %.3g (norm); allowed %.3g", what, largest, norm, limit);
}

/* --- endings --- */

/* Runs f in a child process and returns its exit code (-signal when a signal ended it); what it wrote to stderr goes
 * to text, NUL-terminated and cut to size. For calls that end the program. */
static inline int test_exit_code(void (*f)(void), char *text, size_t size)
{
    int fds[2], status = 0;
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dup2(fds[1], STDERR_FILENO);
        close(fds[0]);
        close(fds[1]);
        f();
        _exit(0);
    }
    close(fds[1]);
    size_t len = 0;
    char piece[512];
    for (ssize_t n; (n = read(fds[0], piece, sizeof piece)) > 0;) {
        for (ssize_t i = 0; i < n && len + 1 < size; i++)
            text[len++] = piece[i];
    }
    text[len] = '\0';
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#endif
