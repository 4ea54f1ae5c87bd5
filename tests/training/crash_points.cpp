// Kills the process at a chosen file operation within a chosen folder.
//
// Preloaded into a process, this counts the calls that change files below CRASH_FOLDER: opening for
// writing, writing, syncing, truncating, renaming, removing and making folders. Before the call with
// the number that crash_at() was given, the process kills itself with SIGKILL. If `torn` is set, only
// writes count, and the last one is carried out by half, so that a file ends in its middle.

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long count = 0, last = 0;
static bool tear = false;

extern "C" void crash_at(long number, int torn) {
    count = 0;
    last = number;
    tear = torn;
}

static bool is_watched(const char* path) {
    const char* folder = getenv("CRASH_FOLDER");
    return folder && strncmp(path, folder, strlen(folder)) == 0;
}

static bool is_watched(int descriptor) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return false;
    path[length] = 0;
    return is_watched(path);
}

template <class Before>
static void point(Before before_the_end) {
    if (++count != last) return;
    before_the_end();
    kill(getpid(), SIGKILL);
}

static void point() {
    if (!tear) point([] {});
}

template <class Function>
static Function original(const char* name) {
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

#define WRAP(result, name, parameters, arguments, watched)                      \
    extern "C" result name parameters {                                         \
        if (watched) point();                                                   \
        static auto call = original<result(*) parameters>(#name);               \
        return call arguments;                                                  \
    }

WRAP(int, fsync, (int descriptor), (descriptor), is_watched(descriptor))
WRAP(int, ftruncate, (int descriptor, off_t size), (descriptor, size), is_watched(descriptor))
WRAP(int, ftruncate64, (int descriptor, off64_t size), (descriptor, size), is_watched(descriptor))
WRAP(int, rename, (const char* from, const char* to), (from, to), is_watched(to))
WRAP(int, unlink, (const char* path), (path), is_watched(path))
WRAP(int, rmdir, (const char* path), (path), is_watched(path))
WRAP(int, mkdir, (const char* path, mode_t mode), (path, mode), is_watched(path))

extern "C" ssize_t write(int descriptor, const void* bytes, size_t size) {
    static auto call = original<ssize_t (*)(int, const void*, size_t)>("write");
    if (is_watched(descriptor)) {
        point([=] {
            if (tear) (void)!call(descriptor, bytes, size / 2);
        });
    }
    return call(descriptor, bytes, size);
}

#define WRAP_OPEN(name)                                                         \
    extern "C" int name(const char* path, int flags, ...) {                     \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode_t mode = va_arg(rest, mode_t);                                     \
        va_end(rest);                                                           \
        if ((flags & O_ACCMODE) != O_RDONLY && is_watched(path)) point();       \
        static auto call = original<int (*)(const char*, int, ...)>(#name);     \
        return call(path, flags, mode);                                         \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)
