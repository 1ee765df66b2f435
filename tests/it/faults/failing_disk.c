/* Has file operations of a program fail as a script says: loaded in front of the C library by failing_disk.rs.
 *
 * A line of the script is "OPERATION PATTERN ERRNO"; it is read again at each operation, so that a test can change it at any time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static char *script;

/* Early: a process that shows a title of its own writes it over its environment. */
__attribute__((constructor)) static void find_script(void) {
    const char *path = getenv("LARDER_FAILING_DISK");
    script = path ? strdup(path) : NULL;
}

/* The error that an operation shall have; zero for none. */
static int error_of(const char *operation, const char *path) {
    int before = errno, found = 0, number;
    char name[32], pattern[512];
    FILE *lines = script ? fopen(script, "re") : NULL;
    while (lines && !found && fscanf(lines, "%31s %511s %d", name, pattern, &number) == 3)
        if (!strcmp(name, operation) && !fnmatch(pattern, path, 0)) found = number;
    if (lines) fclose(lines);
    errno = before;
    return found;
}

static int error_of_file(const char *operation, int file) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return error_of(operation, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(error) do { int number = (error); if (number) { errno = number; return -1; } } while (0)

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        if (flags & O_CREAT) FAIL(error_of("create", path)); \
        return NEXT(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

static const char *kind(off_t at) { return at ? "append" : "write"; }

ssize_t pwrite(int file, const void *bytes, size_t count, off_t at) {
    FAIL(error_of_file(kind(at), file));
    return NEXT(pwrite)(file, bytes, count, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    FAIL(error_of_file(kind(at), file));
    return NEXT(pwrite64)(file, bytes, count, at);
}

ssize_t pwritev(int file, const struct iovec *pieces, int count, off_t at) {
    FAIL(error_of_file(kind(at), file));
    return NEXT(pwritev)(file, pieces, count, at);
}

int fsync(int file) {
    FAIL(error_of_file("sync", file));
    return NEXT(fsync)(file);
}

int fdatasync(int file) {
    FAIL(error_of_file("sync", file));
    return NEXT(fdatasync)(file);
}

int rename(const char *from, const char *to) {
    FAIL(error_of("rename", to));
    return NEXT(rename)(from, to);
}
