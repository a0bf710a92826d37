/*
 * A library is closed while threads have objects of its own that wait for their
 * destructors, and the program forks, ends threads and exits around that: what
 * is allocated and freed then, by handlers of fork, by the earliest constructor
 * and the last destructor too, is served.
 *
 * usage: unloaded LIBRARY
 */
#include "check.h"

#include <dlfcn.h>
#include <pthread.h>

#include "ptm.h"

enum { THREADS = 4, ROUNDS = 10 };

static pthread_barrier_t barrier;
static int (*touch)();

static void use_some()
{
    for (size_t size = 1; size < 1000000; size *= 3) {
        free(realloc(opaque(malloc(size)), 7));
    }
}

__attribute__((constructor(101))) static void use_some_first()
{
    use_some();
}

__attribute__((destructor(101))) static void use_some_last()
{
    use_some();
}

static void *touch_and_outlive(void *unused)
{
    CHECK(touch() == 1);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    use_some();
    return unused;
}

static void fork_child()
{
    pid_t child = fork();
    if (child == 0) {
        use_some();
        exit(0);
    }
    int status = 1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static void open_and_close(const char *path)
{
    pthread_t threads[THREADS];
    void *library = dlopen(path, RTLD_NOW);
    CHECK(library != nullptr);
    touch = (int (*)())dlsym(library, "touch");
    CHECK(touch != nullptr && touch() == 1);
    for (pthread_t &thread : threads) {
        CHECK(pthread_create(&thread, nullptr, touch_and_outlive, nullptr) ==
              0);
    }
    pthread_barrier_wait(&barrier);
    CHECK(dlclose(library) == 0);
    fork_child();
    pthread_barrier_wait(&barrier);
    for (pthread_t thread : threads) {
        CHECK(pthread_join(thread, nullptr) == 0);
    }
    CHECK(ptm_check() == 0);
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    CHECK(pthread_barrier_init(&barrier, nullptr, THREADS + 1) == 0);
    CHECK(pthread_atfork(use_some, use_some, use_some) == 0);
    CHECK(atexit(use_some) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        open_and_close(argv[1]);
    }
    return 0;
}
