/*
 * dlopened.c - libptm.so loaded by dlopen into a program that has a malloc
 * already, and closed again.
 *
 * The program is not linked with the library. Its threads use both mallocs;
 * some of them end only after dlclose, and the process forks after it: the
 * library must not be gone while thread exit and fork still lead into it.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "trial.h"

enum { THREADS = 8, LOADS = 5, BLOCKS = 100, LATE_THREADS = 4 };

static struct {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *memory, size_t size);
    void (*free)(void *memory);
    int (*check)(void);
} loaded;

static pthread_barrier_t used;
static pthread_barrier_t closed;

static void *load(void)
{
    void *library = dlopen("libptm.so", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        dprintf(2, "%s\n", dlerror());
    MUST(library != NULL);
    *(void **)&loaded.malloc = dlsym(library, "malloc");
    *(void **)&loaded.calloc = dlsym(library, "calloc");
    *(void **)&loaded.realloc = dlsym(library, "realloc");
    *(void **)&loaded.free = dlsym(library, "free");
    *(void **)&loaded.check = dlsym(library, "ptm_check");
    MUST(loaded.malloc && loaded.calloc && loaded.realloc && loaded.free);
    MUST(loaded.check);
    /* Two mallocs in one process, or the trial shows nothing. */
    MUST(loaded.malloc != malloc);
    return library;
}

static size_t size_of_block(int i)
{
    return (size_t)i * (size_t)i * 50;
}

static void use_both_mallocs(void)
{
    char *blocks[BLOCKS];
    char *others[BLOCKS];

    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = i % 2 ? loaded.malloc(size_of_block(i))
                          : loaded.calloc(1, size_of_block(i));
        others[i] = malloc(size_of_block(i));
        MUST(blocks[i] != NULL && others[i] != NULL);
        memset(blocks[i], i, size_of_block(i));
        memset(others[i], ~i, size_of_block(i));
    }
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = loaded.realloc(blocks[i], size_of_block(i) + 1000);
        MUST(blocks[i] != NULL);
        MUST(size_of_block(i) == 0 || blocks[i][size_of_block(i) - 1] == i);
    }
    for (int i = 0; i < BLOCKS; i++) {
        loaded.free(blocks[i]);
        free(others[i]);
    }
}

static void *use_and_end(void *unused)
{
    use_both_mallocs();
    return unused;
}

/* Uses the library, sees it closed, and only then ends. */
static void *outlive_library(void *unused)
{
    use_both_mallocs();
    pthread_barrier_wait(&used);
    pthread_barrier_wait(&closed);
    return unused;
}

static void use_in_threads(void)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, use_and_end, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
}

static void fork_child(void)
{
    pid_t child = fork();

    if (child == 0) {
        trial_watch();
        free(malloc(1000));
        _exit(0);
    }
    trial_child_must_succeed(child);
}

static void load_use_and_close(void)
{
    pthread_t threads[LATE_THREADS];
    void *library = load();

    use_both_mallocs();
    use_in_threads();
    for (int i = 0; i < LATE_THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, outlive_library, NULL) == 0);
    pthread_barrier_wait(&used);
    MUST(loaded.check() == 0);
    fork_child();
    MUST(dlclose(library) == 0);
    pthread_barrier_wait(&closed);
    for (int i = 0; i < LATE_THREADS; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    fork_child();
}

int main(void)
{
    trial_watch();
    MUST(pthread_barrier_init(&used, NULL, LATE_THREADS + 1) == 0);
    MUST(pthread_barrier_init(&closed, NULL, LATE_THREADS + 1) == 0);
    for (int i = 0; i < LOADS; i++)
        load_use_and_close();
    return 0;
}
