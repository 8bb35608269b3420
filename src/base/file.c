/* SPDX-License-Identifier: Apache-2.0
 * file: paths, whole-file reading, folders and atomic writing.
 *
 * Sections: 1 paths, 2 folders, 3 reading, 4 atomic output files.
 */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/alloc.h"

/* ---- 1. paths ---- */

bool ff_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool ff_file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

int64_t ff_file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (int64_t)st.st_size : -1;
}

char *ff_path_join(const char *dir, const char *name)
{
    size_t len = strlen(dir);
    if (name[0] == '/' || len == 0)
        return ff_xstrdup(name);
    return ff_xasprintf("%s%s%s", dir, dir[len - 1] == '/' ? "" : "/", name);
}

const char *ff_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *ff_path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ff_xstrdup(".");
    if (slash == path)
        return ff_xstrdup("/");
    return ff_xstrndup(path, (size_t)(slash - path));
}

char *ff_path_stem(const char *path)
{
    char *stem = ff_xstrdup(ff_path_base(path));
    size_t len = strlen(stem);
    if (len > 3 && strcmp(stem + len - 3, ".gz") == 0)
        stem[len - 3] = '\0';
    char *dot = strrchr(stem, '.');
    if (dot && dot != stem) /* ".name" has no extension */
        *dot = '\0';
    return stem;
}

char *ff_path_exe_dir(void)
{
    char buf[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", buf, sizeof buf - 1);
    if (n <= 0)
        return ff_xstrdup(".");
    buf[n] = '\0';
    return ff_path_dir(buf);
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *ff_path_which(const char *program)
{
    if (program[0] == '\0')
        return NULL;
    if (strchr(program, '/'))
        return is_program(program) ? ff_xstrdup(program) : NULL;
    const char *path = getenv("PATH");
    if (!path)
        path = "/bin:/usr/bin";
    for (;;) {
        const char *colon = strchrnul(path, ':');
        char *dir = ff_xstrndup(path, (size_t)(colon - path));
        char *full = ff_path_join(dir[0] ? dir : ".", program); /* an empty entry means the current folder */
        free(dir);
        if (is_program(full))
            return full;
        free(full);
        if (*colon == '\0')
            return NULL;
        path = colon + 1;
    }
}

/* ---- 2. folders ---- */

static ff_status make_one_dir(const char *path)
{
    if (mkdir(path, 0777) == 0)
        return FF_OK;
    int err = errno;
    if (err == EEXIST && ff_file_is_dir(path))
        return FF_OK;
    if (err == EEXIST)
        return ff_fail(FF_EIO, "%s: is a file, but a folder of this name is needed", path);
    errno = err;
    return ff_fail_errno(FF_EIO, "%s: cannot create this folder", path);
}

ff_status ff_mkdirs(const char *path)
{
    if (ff_file_is_dir(path))
        return FF_OK;
    if (path[0] == '\0')
        return ff_fail(FF_EIO, "cannot create a folder with an empty name");
    char *p = ff_xstrdup(path);
    ff_status st = FF_OK;
    for (char *c = p + 1; *c && st == FF_OK; c++) {
        if (*c != '/')
            continue;
        *c = '\0';
        st = make_one_dir(p);
        *c = '/';
    }
    if (st == FF_OK)
        st = make_one_dir(p);
    free(p);
    return st;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *where)
{
    (void)st;
    (void)type;
    (void)where;
    return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

ff_status ff_remove_tree(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT)
        return FF_OK;
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0 && errno != ENOENT)
        return ff_fail_errno(FF_EIO, "%s: cannot remove", path);
    return FF_OK;
}

/* "ff<machine>-": begins what names of temporaries have of their owner; the process's number and a '.' follow. */
static void machine_mark(char ret[16])
{
    char host[256] = "";
    gethostname(host, sizeof host - 1);
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (const char *c = host; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 16777619u;
    snprintf(ret, 16, "ff%08x-", hash);
}

void ff_remove_stale(const char *dir)
{
    char mark[16];
    machine_mark(mark);
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        const char *at = e->d_name[0] == '.' ? strstr(e->d_name, mark) : NULL;
        if (at == NULL)
            continue;
        char *end;
        long pid = strtol(at + strlen(mark), &end, 10);
        if (pid <= 0 || *end != '.' || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        char *path = ff_path_join(dir, e->d_name);
        if (ff_remove_tree(path) != FF_OK)
            ff_status_clear(); /* it disturbs nobody */
        free(path);
    }
    if (d != NULL)
        closedir(d);
}

ff_status ff_make_temp_dir(const char *parent, const char *prefix, char **ret_path)
{
    *ret_path = NULL;
    if (!parent || !parent[0])
        parent = getenv("TMPDIR");
    if (!parent || !parent[0])
        parent = "/tmp";
    char mark[16];
    machine_mark(mark);
    char *name = ff_xasprintf("%s/%s%s%ld.XXXXXX", parent, prefix, mark, (long)getpid());
    if (!mkdtemp(name)) {
        ff_status st = ff_fail_errno(FF_EIO, "%s: cannot create a temporary folder here", parent);
        free(name);
        return st;
    }
    *ret_path = name;
    return FF_OK;
}

ff_status ff_check_writable_dir(const char *path)
{
    FF_TRY(ff_mkdirs(path));
    ff_status st = FF_OK;
    char *probe = ff_xasprintf("%s/.fastfold-probe-%ld-XXXXXX", path, (long)getpid());
    int fd = mkstemp(probe);
    if (fd < 0) {
        st = ff_fail_errno(FF_EIO, "%s: cannot write into this folder", path);
    } else {
        static const char block[4096]; /* a full disk may still create an empty file */
        ssize_t n = write(fd, block, sizeof block);
        if (n < 0)
            st = ff_fail_errno(FF_EIO, "%s: cannot write into this folder", path);
        else if (n < (ssize_t)sizeof block)
            st = ff_fail(FF_EIO, "%s: cannot write into this folder: no space left", path);
        close(fd);
        unlink(probe);
    }
    free(probe);
    return st;
}

int64_t ff_free_space(const char *path)
{
    struct statvfs v;
    if (statvfs(path, &v) != 0)
        return -1;
    return (int64_t)v.f_bavail * (int64_t)v.f_frsize;
}

/* ---- 3. reading ---- */

ff_status ff_file_read(const char *path, char **ret, size_t *ret_len)
{
    *ret = NULL;
    *ret_len = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ff_fail_errno(errno == ENOENT || errno == ENOTDIR ? FF_EMISSING : FF_EIO, "%s: cannot open", path);
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        close(fd);
        return ff_fail(FF_EIO, "%s: is a folder, but a file is needed", path);
    }
    /* One byte more than the size: the read that fills it would show that the file has grown, a short one is the end.
     * Pipes have no size and grow the buffer. */
    size_t cap = st.st_size > 0 && S_ISREG(st.st_mode) ? (size_t)st.st_size + 2 : 65536;
    size_t len = 0;
    char *data = ff_xmalloc(cap);
    for (;;) {
        if (len + 1 == cap) {
            cap *= 2;
            data = ff_xrealloc(data, cap);
        }
        size_t want = cap - len - 1;
        ssize_t n = read(fd, data + len, want < (1u << 30) ? want : (1u << 30));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            ff_status fail = ff_fail_errno(FF_EIO, "%s: cannot read", path);
            free(data);
            close(fd);
            return fail;
        }
        if (n == 0)
            break;
        len += (size_t)n;
    }
    close(fd);
    data[len] = '\0';
    *ret = data;
    *ret_len = len;
    return FF_OK;
}

/* ---- 4. atomic output files ---- */

/* Names of the open temporaries, in fixed storage so that a signal handler can walk it at any moment. */
enum { MAX_OPEN = 64 };
static struct {
    atomic_int state;            /* SLOT_*; name is valid in SLOT_OPEN */
    char name[PATH_MAX];
} open_files[MAX_OPEN];
enum { SLOT_FREE, SLOT_CLAIMED, SLOT_OPEN };

struct ff_outfile {
    FILE *stream;
    char *path;                  /* final name */
    char *temp;                  /* NULL: path is a device or pipe and is written directly */
    int slot;                    /* in open_files, -1 without temp */
};

static int claim_slot(void)
{
    for (int i = 0; i < MAX_OPEN; i++) {
        int expected = SLOT_FREE;
        if (atomic_compare_exchange_strong(&open_files[i].state, &expected, SLOT_CLAIMED))
            return i;
    }
    return -1;
}

static void free_outfile(struct ff_outfile *o)
{
    if (o->slot >= 0)
        atomic_store(&open_files[o->slot].state, SLOT_FREE);
    free(o->path);
    free(o->temp);
    free(o);
}

/* Where the bytes must end up: through symbolic links, so that a link stays a link. */
static char *resolve_target(const char *path)
{
    struct stat st;
    if (lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) {
        char *real = realpath(path, NULL);
        if (real)
            return real;
    }
    return ff_xstrdup(path);
}

/* Creates the temporary with the mode that the user's umask gives (mkstemp would make it private). */
static int create_temp(struct ff_outfile *o)
{
    static atomic_uint counter;
    char *dir = ff_path_dir(o->path), mark[16];
    machine_mark(mark);
    int fd = -1;
    for (int attempt = 0; attempt < 100 && fd < 0; attempt++) {
        free(o->temp);
        o->temp = ff_xasprintf("%s/.%.200s.%s%ld.%u.tmp", dir, ff_path_base(o->path), mark, (long)getpid(),
                               atomic_fetch_add(&counter, 1));
        fd = open(o->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    free(dir);
    return fd;
}

ff_status ff_outfile_open(const char *path, struct ff_outfile **ret)
{
    *ret = NULL;
    struct stat st;
    bool direct = stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
    if (path[0] == '\0' || ff_file_is_dir(path))
        return ff_fail(FF_EIO, "%s: cannot write: this is a folder, not a file", path[0] ? path : "\"\"");

    struct ff_outfile *o = FF_NEW(struct ff_outfile);
    o->path = direct ? ff_xstrdup(path) : resolve_target(path);
    o->slot = -1;
    int fd;
    if (direct) {
        fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        o->slot = claim_slot();
        if (o->slot < 0) {
            free_outfile(o);
            return ff_fail(FF_EIO, "%s: cannot write: more than %d output files are open", path, MAX_OPEN);
        }
        fd = create_temp(o);
        if (fd >= 0) {
            snprintf(open_files[o->slot].name, sizeof open_files[o->slot].name, "%s", o->temp);
            atomic_store(&open_files[o->slot].state, SLOT_OPEN);
        }
    }
    if (fd >= 0)
        o->stream = fdopen(fd, "wb");
    if (!o->stream) {
        ff_status fail = ff_fail_errno(FF_EIO, "%s: cannot create", path);
        if (fd >= 0) {
            close(fd);
            if (o->temp)
                unlink(o->temp);
        }
        free_outfile(o);
        return fail;
    }
    *ret = o;
    return FF_OK;
}

FILE *ff_outfile_stream(struct ff_outfile *o)
{
    return o->stream;
}

static void sync_dir_of(const char *path)
{
    char *dir = ff_path_dir(path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!fsync(fd); /* some file systems refuse; the rename itself has been done */
        close(fd);
    }
    free(dir);
}

ff_status ff_outfile_commit(struct ff_outfile *o)
{
    bool had_error = ferror(o->stream) != 0; /* an earlier fwrite failed; its errno is gone */
    if (fflush(o->stream) != 0)
        goto fail_errno;
    if (had_error) {
        ff_fail(FF_EIO, "%s: writing failed (disk full?)", o->path);
        goto fail;
    }
    if (o->temp && fsync(fileno(o->stream)) != 0 && errno != EINVAL && errno != EROFS)
        goto fail_errno;
    FILE *stream = o->stream;
    o->stream = NULL;
    if (fclose(stream) != 0)
        goto fail_errno;
    if (o->temp) {
        if (rename(o->temp, o->path) != 0)
            goto fail_errno;
        sync_dir_of(o->path);
    }
    free_outfile(o);
    return FF_OK;

fail_errno:
    ff_fail_errno(FF_EIO, "%s: writing failed", o->path);
fail:
    ff_outfile_abort(o);
    return FF_EIO;
}

void ff_outfile_abort(struct ff_outfile *o)
{
    if (!o)
        return;
    if (o->stream)
        fclose(o->stream);
    if (o->temp)
        unlink(o->temp);
    free_outfile(o);
}

ff_status ff_file_write(const char *path, const void *data, size_t len)
{
    struct ff_outfile *o;
    FF_TRY(ff_outfile_open(path, &o));
    if (len > 0)
        fwrite(data, 1, len, o->stream); /* commit looks at the stream's error flag */
    return ff_outfile_commit(o);
}

void ff_files_discard_open(void)
{
    for (int i = 0; i < MAX_OPEN; i++)
        if (atomic_load(&open_files[i].state) == SLOT_OPEN)
            unlink(open_files[i].name);
}
