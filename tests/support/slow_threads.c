/* Brings a fork into the middle of the start of a thread, where the package's extension starts one.
 *
 * The C library starts it on the stack of an earlier thread, and first frees what that one has left. After each
 * such call a thread waits here, and a fork waits for such a thread, for a bounded time. Forked children do not
 * wait.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

enum { THREAD = 20000, FORK = 100000, STEP = 1000 }; /* microseconds */

static pid_t parent;
static atomic_int waiting;
static __thread int starting __attribute__((tls_model("initial-exec")));

__attribute__((constructor)) static void load(void) { parent = getpid(); }

/* How many threads wait at present; in a forked child, how many have waited at the fork. */
int slow_threads_waiting(void) { return atomic_load(&waiting); }

extern void __libc_free(void *memory);

void free(void *memory) {
    __libc_free(memory);
    if (!memory || !starting || getpid() != parent) return;
    atomic_fetch_add(&waiting, 1);
    usleep(THREAD);
    atomic_fetch_sub(&waiting, 1);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
    __typeof__(&pthread_create) next = (__typeof__(&pthread_create))dlsym(RTLD_NEXT, "pthread_create");
    Dl_info caller;
    int is_ours = dladdr(__builtin_return_address(0), &caller) && strstr(caller.dli_fname, "/flask_mqtt/_core");
    starting += is_ours;
    int result = next(thread, attributes, body, argument);
    starting -= is_ours;
    return result;
}

pid_t fork(void) {
    for (int waited = 0; waited < FORK && !atomic_load(&waiting) && getpid() == parent; waited += STEP) usleep(STEP);
    return ((__typeof__(&fork))dlsym(RTLD_NEXT, "fork"))();
}
