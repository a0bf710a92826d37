/*
 * thread_exit.c - threads end in every way there is, and none of them takes
 * memory along.
 *
 * Destructors of thread-local objects and of keys run late in a thread's life,
 * after the allocator's own may have run; they allocate and free all the same,
 * round after round. More than 32 keys make pthread_setspecific allocate too.
 */
#include "trial.h"

#include <pthread.h>
#include <limits.h>

enum {
    EARLY_KEYS = 4,
    KEYS = 100,
    THREADS_PER_WAVE = 8,
    WAVES = 8,
    BLOCKS = 21,
};

/* What C++ compilers call for a thread_local object with a destructor. */
extern int __cxa_thread_atexit_impl(void (*function)(void *), void *object,
                                    void *dso_symbol);
extern void *__dso_handle __attribute__((visibility("hidden")));

static pthread_key_t keys[KEYS];
static atomic_int key_destructor_runs;
static atomic_int local_destructor_runs;
static atomic_int threads_at_work;

static size_t some_size(int i)
{
    static const size_t sizes[] = {1, 24, 100, 1000, 9000, 70000, 300000};

    return sizes[(size_t)i % (sizeof sizes / sizeof *sizes)];
}

static void allocate_and_free_some(void)
{
    void *blocks[BLOCKS];

    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(some_size(i));
        MUST(blocks[i] != NULL);
        memset(blocks[i], i, some_size(i) < 1000 ? some_size(i) : 1000);
    }
    for (int i = 0; i < BLOCKS; i++)
        free(blocks[i]);
}

/* A key's value is a block that holds the key and the rounds left to go. */
struct key_value {
    pthread_key_t key;
    int rounds_left;
};

static void set_key(pthread_key_t key, int rounds_left)
{
    struct key_value *value = malloc(sizeof *value);

    MUST(value != NULL);
    *value = (struct key_value){key, rounds_left};
    MUST(pthread_setspecific(key, value) == 0);
}

/* Comes back for another round, as long as the value says so. */
static void destroy_key_value(void *pointer)
{
    struct key_value *value = pointer;

    atomic_fetch_add(&key_destructor_runs, 1);
    allocate_and_free_some();
    if (value->rounds_left > 0)
        set_key(value->key, value->rounds_left - 1);
    free(value);
}

static void destroy_local(void *object)
{
    atomic_fetch_add(&local_destructor_runs, 1);
    allocate_and_free_some();
    free(object);
}

static void create_keys(int from, int to)
{
    for (int i = from; i < to; i++)
        MUST(pthread_key_create(&keys[i], destroy_key_value) == 0);
}

/* These keys are older than any that the allocator may have. */
static void create_early_keys(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    (void)envp;
    create_keys(0, EARLY_KEYS);
}

__attribute__((section(".preinit_array"),
               used)) static void (*preinit)(int, char **,
                                             char **) = create_early_keys;

static int rounds_of_key(int i)
{
    return i % PTHREAD_DESTRUCTOR_ITERATIONS;
}

static int expected_key_destructor_runs(void)
{
    int runs = 0;

    for (int i = 0; i < KEYS; i++)
        runs += 1 + rounds_of_key(i);
    return runs;
}

static void use_keys_and_locals(void)
{
    void *object = malloc(100);

    MUST(object != NULL);
    MUST(__cxa_thread_atexit_impl(destroy_local, object, &__dso_handle) == 0);
    for (int i = 0; i < KEYS; i++)
        set_key(keys[i], rounds_of_key(i));
}

static void *keys_first(void *unused)
{
    use_keys_and_locals();
    allocate_and_free_some();
    return unused;
}

static void *blocks_first(void *unused)
{
    allocate_and_free_some();
    use_keys_and_locals();
    pthread_exit(unused);
}

/* The first allocation of this thread happens in its destructors. */
static void *destructors_only(void *object)
{
    MUST(__cxa_thread_atexit_impl(destroy_local, object, &__dso_handle) == 0);
    return NULL;
}

static void run_wave_of_keys(void)
{
    pthread_t threads[THREADS_PER_WAVE];

    atomic_store(&key_destructor_runs, 0);
    atomic_store(&local_destructor_runs, 0);
    for (int i = 0; i < THREADS_PER_WAVE; i++)
        MUST(pthread_create(&threads[i], NULL,
                            i % 2 ? keys_first : blocks_first, NULL) == 0);
    for (int i = 0; i < THREADS_PER_WAVE; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
    MUST(atomic_load(&key_destructor_runs) ==
         THREADS_PER_WAVE * expected_key_destructor_runs());
    MUST(atomic_load(&local_destructor_runs) == THREADS_PER_WAVE);
    MUST(ptm_check() == 0);
}

static void run_wave_of_destructors_only(void)
{
    pthread_t thread;

    atomic_store(&local_destructor_runs, 0);
    for (int i = 0; i < THREADS_PER_WAVE; i++) {
        MUST(pthread_create(&thread, NULL, destructors_only, malloc(3000)) ==
             0);
        MUST(pthread_join(thread, NULL) == 0);
    }
    MUST(atomic_load(&local_destructor_runs) == THREADS_PER_WAVE);
}

static void run_wave_detached(void)
{
    pthread_attr_t attributes;
    pthread_t thread;

    MUST(pthread_attr_init(&attributes) == 0);
    MUST(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) ==
         0);
    atomic_store(&key_destructor_runs, 0);
    atomic_store(&local_destructor_runs, 0);
    for (int i = 0; i < THREADS_PER_WAVE; i++)
        MUST(pthread_create(&thread, &attributes, keys_first, NULL) == 0);
    while (atomic_load(&local_destructor_runs) < THREADS_PER_WAVE ||
           atomic_load(&key_destructor_runs) <
               THREADS_PER_WAVE * expected_key_destructor_runs())
        usleep(100);
    MUST(pthread_attr_destroy(&attributes) == 0);
}

static void *allocate_until_cancelled(void *unused)
{
    use_keys_and_locals();
    for (;;) {
        allocate_and_free_some();
        atomic_fetch_add(&threads_at_work, 1);
        pthread_testcancel();
    }
    return unused;
}

/* A read from this pipe never returns. */
static int silent_pipe[2];

static void *block_until_cancelled(void *unused)
{
    char byte;

    use_keys_and_locals();
    atomic_fetch_add(&threads_at_work, 1);
    MUST(read(silent_pipe[0], &byte, 1) == 1);
    return unused;
}

static void run_wave_of_cancelled(void *(*body)(void *))
{
    pthread_t threads[THREADS_PER_WAVE];
    void *result;

    atomic_store(&local_destructor_runs, 0);
    atomic_store(&threads_at_work, 0);
    for (int i = 0; i < THREADS_PER_WAVE; i++)
        MUST(pthread_create(&threads[i], NULL, body, NULL) == 0);
    while (atomic_load(&threads_at_work) < THREADS_PER_WAVE)
        usleep(100);
    for (int i = 0; i < THREADS_PER_WAVE; i++)
        MUST(pthread_cancel(threads[i]) == 0);
    for (int i = 0; i < THREADS_PER_WAVE; i++) {
        MUST(pthread_join(threads[i], &result) == 0);
        MUST(result == PTHREAD_CANCELED);
    }
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    create_keys(EARLY_KEYS, KEYS);
    MUST(pipe(silent_pipe) == 0);
    for (int i = 0; i < WAVES; i++) {
        trial_watch();
        run_wave_of_keys();
        run_wave_of_destructors_only();
        run_wave_detached();
        run_wave_of_cancelled(allocate_until_cancelled);
        run_wave_of_cancelled(block_until_cancelled);
        MUST(ptm_check() == 0);
    }
    /* The main thread leaves alone; the process ends with the others. */
    use_keys_and_locals();
    pthread_exit(NULL);
}
