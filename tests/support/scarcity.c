/* Lets calls of the C library fail as they do on a machine that has nothing left.
 *
 * Loaded with LD_PRELOAD and told what to do by scarcity.py. Calls count that come from the package's
 * extension, and whoever makes a thread. While it is armed, those from the first one that is named on fail, as
 * many as are named.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

enum { DESCRIPTORS = 1, THREADS = 2, FILES = 4, NETWORK = 8 };

static atomic_int armed_kinds, disk_error;
static atomic_long first_one, how_many, seen, injected;
static char last[128];

void scarcity_arm(int kinds, long first, long count, int error) {
    atomic_store(&seen, 0);
    atomic_store(&injected, 0);
    atomic_store(&first_one, first);
    atomic_store(&how_many, count);
    atomic_store(&disk_error, error);
    last[0] = 0;
    atomic_store(&armed_kinds, kinds);
}

void scarcity_disarm(void) { atomic_store(&armed_kinds, 0); }

long scarcity_seen(void) { return atomic_load(&seen); }

long scarcity_injected(void) { return atomic_load(&injected); }

const char *scarcity_last(void) { return last; }

static int is_ours(void *caller) {
    Dl_info info;
    return dladdr(caller, &info) && info.dli_fname && strstr(info.dli_fname, "/flask_mqtt/_core");
}

/* Whether this call is to fail. */
static int fails(int kind, void *caller, const char *name) {
    if (!(atomic_load(&armed_kinds) & kind) || (kind != THREADS && !is_ours(caller))) return 0;
    long number = atomic_fetch_add(&seen, 1) + 1;
    long first = atomic_load(&first_one);
    if (number < first || number - first >= atomic_load(&how_many)) return 0;
    if (atomic_fetch_add(&injected, 1) == 0) snprintf(last, sizeof last, "%s, call %ld", name, number);
    return 1;
}

static int is_a(int fd, mode_t type) {
    struct stat found;
    int before = errno, is_it = fstat(fd, &found) == 0 && (found.st_mode & S_IFMT) == type;
    errno = before;
    return is_it;
}

#define CALLER __builtin_return_address(0)
#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define REFUSE(kind, name, error, result) \
    if (fails(kind, CALLER, name)) { errno = (error); return (result); }
/* An operation of a file or of a socket, whichever the descriptor is. */
#define REFUSE_IO(fd, name, socket_error) \
    if (is_a(fd, S_IFREG)) { REFUSE(FILES, name, atomic_load(&disk_error), -1) } \
    else if (is_a(fd, S_IFSOCK)) { REFUSE(NETWORK, name, socket_error, -1) }

int socket(int domain, int type, int protocol) {
    REFUSE(DESCRIPTORS, "socket", EMFILE, -1)
    return NEXT(socket)(domain, type, protocol);
}

int socketpair(int domain, int type, int protocol, int pair[2]) {
    REFUSE(DESCRIPTORS, "socketpair", EMFILE, -1)
    return NEXT(socketpair)(domain, type, protocol, pair);
}

int epoll_create1(int flags) {
    REFUSE(DESCRIPTORS, "epoll_create1", EMFILE, -1)
    return NEXT(epoll_create1)(flags);
}

int eventfd(unsigned int count, int flags) {
    int (*next)(unsigned int, int) = dlsym(RTLD_NEXT, "eventfd");
    REFUSE(DESCRIPTORS, "eventfd", EMFILE, -1)
    return next(count, flags);
}

static mode_t mode_of(int flags, va_list arguments) {
    return flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) { \
        va_list arguments; \
        va_start(arguments, flags); \
        mode_t mode = mode_of(flags, arguments); \
        va_end(arguments); \
        REFUSE(DESCRIPTORS, "open", EMFILE, -1) \
        return NEXT(name)(path, flags, mode); \
    }
OPEN(open)
OPEN(open64)

FILE *fopen(const char *path, const char *mode) {
    REFUSE(DESCRIPTORS, "fopen", EMFILE, NULL)
    return NEXT(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode) {
    REFUSE(DESCRIPTORS, "fopen", EMFILE, NULL)
    return NEXT(fopen64)(path, mode);
}

#define FCNTL(name) \
    int name(int fd, int command, ...) { \
        va_list arguments; \
        va_start(arguments, command); \
        void *argument = va_arg(arguments, void *); \
        va_end(arguments); \
        if (command == F_DUPFD || command == F_DUPFD_CLOEXEC) { REFUSE(DESCRIPTORS, "dup", EMFILE, -1) } \
        if (command == F_SETLK || command == F_SETLKW) { REFUSE(FILES, "lock", ENOLCK, -1) } \
        return NEXT(name)(fd, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*start)(void *), void *argument) {
    if (fails(THREADS, CALLER, "pthread_create")) return EAGAIN;
    return NEXT(pthread_create)(thread, attributes, start, argument);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
    if (operation == EPOLL_CTL_ADD) { REFUSE(NETWORK, "epoll_ctl", ENOSPC, -1) }
    return NEXT(epoll_ctl)(epoll, operation, fd, event);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    if (fails(NETWORK, CALLER, "getaddrinfo")) {
        errno = EMFILE;
        return EAI_SYSTEM;
    }
    return NEXT(getaddrinfo)(node, service, hints, found);
}

int bind(int fd, const struct sockaddr *address, socklen_t length) {
    REFUSE(NETWORK, "bind", EADDRINUSE, -1)
    return NEXT(bind)(fd, address, length);
}

int connect(int fd, const struct sockaddr *address, socklen_t length) {
    REFUSE(NETWORK, "connect", EADDRNOTAVAIL, -1)
    return NEXT(connect)(fd, address, length);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t length) {
    REFUSE(NETWORK, "setsockopt", ENOBUFS, -1)
    return NEXT(setsockopt)(fd, level, name, value, length);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    REFUSE(NETWORK, "send", ENOBUFS, -1)
    return NEXT(send)(fd, bytes, length, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
    REFUSE(NETWORK, "sendmsg", ENOBUFS, -1)
    return NEXT(sendmsg)(fd, message, flags);
}

ssize_t recv(int fd, void *bytes, size_t length, int flags) {
    REFUSE(NETWORK, "recv", ENOMEM, -1)
    return NEXT(recv)(fd, bytes, length, flags);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REFUSE_IO(fd, "writev", ENOBUFS)
    return NEXT(writev)(fd, parts, count);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    REFUSE_IO(fd, "write", ENOBUFS)
    return NEXT(write)(fd, bytes, length);
}

ssize_t read(int fd, void *bytes, size_t length) {
    REFUSE_IO(fd, "read", ENOMEM)
    return NEXT(read)(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t where) {
    REFUSE(FILES, "pwrite", atomic_load(&disk_error), -1)
    return NEXT(pwrite64)(fd, bytes, length, where);
}

ssize_t pread64(int fd, void *bytes, size_t length, off64_t where) {
    REFUSE(FILES, "pread", EIO, -1)
    return NEXT(pread64)(fd, bytes, length, where);
}

int fsync(int fd) {
    REFUSE(FILES, "fsync", atomic_load(&disk_error), -1)
    return NEXT(fsync)(fd);
}

int ftruncate64(int fd, off64_t length) {
    REFUSE(FILES, "ftruncate", atomic_load(&disk_error), -1)
    return NEXT(ftruncate64)(fd, length);
}

void *mmap64(void *where, size_t length, int protection, int flags, int fd, off64_t offset) {
    if (fd >= 0) { REFUSE(FILES, "mmap", ENOMEM, MAP_FAILED) }
    return NEXT(mmap64)(where, length, protection, flags, fd, offset);
}

int unlink(const char *path) {
    REFUSE(FILES, "unlink", EIO, -1)
    return NEXT(unlink)(path);
}
