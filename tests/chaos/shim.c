/* A disk that fails on command: loaded before the C library, it stands between a program and its files.
 *
 * The file named by CHAOS_CONTROL holds the struct below and is shared with the test, which arms and disarms the
 * fault and reads the counters while the program runs. Only files whose names end in one of the suffixes count.
 * Build: cc -shared -fPIC -O2 -o shim.so shim.c -ldl
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OFF, FAIL, SHORT, KILL, TEAR }; /* TEAR writes half, then kills */
enum { WRITES = 1, SYNCS = 2 };

struct control {
    int32_t mode;
    int32_t error;  /* errno of FAIL, and of what follows a SHORT write */
    int32_t calls;  /* WRITES | SYNCS */
    int32_t unused;
    int64_t first;  /* the fault begins with this matching call since it was armed, 1 is the next one */
    int64_t count;  /* and lasts for so many matching calls; 0 is for ever */
    int64_t seen;   /* matching calls since it was armed */
    int64_t fired;  /* how many of them were touched */
    int64_t writes; /* on files of that name, armed or not */
    int64_t syncs;
    char suffixes[64]; /* separated by commas */
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CHAOS_CONTROL");
    int handle = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (handle < 0)
        return;
    void *memory = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, handle, 0);
    close(handle);
    if (memory != MAP_FAILED)
        control = memory;
}

static int matches(int handle) {
    char link[64], name[PATH_MAX], suffixes[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    ssize_t length = readlink(link, name, sizeof name - 1);
    if (length <= 0)
        return 0;
    name[length] = 0;
    memcpy(suffixes, control->suffixes, sizeof suffixes);
    suffixes[sizeof suffixes - 1] = 0;
    char *rest = suffixes, *suffix;
    while ((suffix = strsep(&rest, ","))) {
        size_t size = strlen(suffix);
        if (size && (size_t)length >= size && !strcmp(name + length - size, suffix))
            return 1;
    }
    return 0;
}

/* What is to be done with this call: OFF, or the mode that is armed. */
static int verdict(int handle, int kind) {
    int saved = errno;
    if (!control || !matches(handle)) {
        errno = saved;
        return OFF;
    }
    errno = saved;
    __atomic_add_fetch(kind == WRITES ? &control->writes : &control->syncs, 1, __ATOMIC_SEQ_CST);
    int mode = __atomic_load_n(&control->mode, __ATOMIC_SEQ_CST);
    if (mode == OFF || !(control->calls & kind))
        return OFF;
    int64_t number = __atomic_add_fetch(&control->seen, 1, __ATOMIC_SEQ_CST);
    if (number < control->first || (control->count && number >= control->first + control->count))
        return OFF;
    __atomic_add_fetch(&control->fired, 1, __ATOMIC_SEQ_CST);
    if (mode == KILL) {
        kill(getpid(), SIGKILL);
        pause();
    }
    return mode;
}

static int failed(void) {
    errno = control->error;
    return -1;
}

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
    real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* half: the same call with half the bytes. A short write of 0 bytes would be an error of its own. */
#define ON_WRITE(handle, size, half, whole) \
    switch (verdict(handle, WRITES)) { \
    case FAIL: \
        return failed(); \
    case SHORT: \
        return (size) < 2 ? failed() : (half); \
    case TEAR: \
        (void)!(half); \
        kill(getpid(), SIGKILL); \
        pause(); \
    } \
    return whole

ssize_t write(int handle, const void *bytes, size_t size) {
    REAL(write);
    ON_WRITE(handle, size, real(handle, bytes, size / 2), real(handle, bytes, size));
}

ssize_t pwrite(int handle, const void *bytes, size_t size, off_t offset) {
    REAL(pwrite);
    ON_WRITE(handle, size, real(handle, bytes, size / 2, offset), real(handle, bytes, size, offset));
}

ssize_t pwrite64(int handle, const void *bytes, size_t size, off64_t offset) {
    REAL(pwrite64);
    ON_WRITE(handle, size, real(handle, bytes, size / 2, offset), real(handle, bytes, size, offset));
}

int fsync(int handle) {
    REAL(fsync);
    return verdict(handle, SYNCS) == FAIL ? failed() : real(handle);
}

int fdatasync(int handle) {
    REAL(fdatasync);
    return verdict(handle, SYNCS) == FAIL ? failed() : real(handle);
}
