/* Faults from below, for a program started with LD_PRELOAD: nothing in the program is replaced.
 *
 * FAULT_EIO    a file: while it exists, writing and fsync below FAULT_BELOW fail with EIO
 * FAULT_CLOCK  a file with a number of seconds: the wall clock is so much ahead of the true one
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static int broken(int fd) {
    const char *flag = getenv("FAULT_EIO"), *below = getenv("FAULT_BELOW");
    char name[64], path[4096];
    if (!flag || !below || access(flag, F_OK) != 0) return 0;
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(name, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *data, size_t size) {
    if (broken(fd)) { errno = EIO; return -1; }
    return REAL(write)(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (broken(fd)) { errno = EIO; return -1; }
    return REAL(writev)(fd, parts, count);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    if (broken(fd)) { errno = EIO; return -1; }
    return REAL(pwrite64)(fd, data, size, at);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    if (broken(fd)) { errno = EIO; return -1; }
    return REAL(pwrite)(fd, data, size, at);
}

int fsync(int fd) {
    if (broken(fd)) { errno = EIO; return -1; }
    return REAL(fsync)(fd);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    const char *file = getenv("FAULT_CLOCK");
    if (result == 0 && clock == CLOCK_REALTIME && file) {
        char text[32] = "";
        int fd = open(file, O_RDONLY | O_CLOEXEC);
        if (fd >= 0) {
            ssize_t length = read(fd, text, sizeof text - 1);
            close(fd);
            if (length > 0) now->tv_sec += atol(text);
        }
    }
    return result;
}
