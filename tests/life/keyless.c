/*
 * keyless.c - threads whose end the library cannot notice: when it is opened,
 * the program has all keys for data of threads that there are.
 *
 * Such a thread must have no cache, and no arena of its own: nobody would ever
 * get these back. So the address space does not grow by the number of threads
 * that have come and gone.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "trial.h"

enum { THREADS = 2000, BLOCKS = 60, KEYS_MOST = 1 << 16 };

static void *(*loaded_malloc)(size_t size);
static void (*loaded_free)(void *memory);
static int (*loaded_check)(void);

static void take_all_keys(void)
{
    pthread_key_t key;
    int count = 0;

    while (count < KEYS_MOST && pthread_key_create(&key, NULL) == 0)
        count++;
    MUST(count > 0 && count < KEYS_MOST);
}

static void load(void)
{
    void *library = dlopen("libptm.so", RTLD_NOW | RTLD_LOCAL);

    MUST(library != NULL);
    *(void **)&loaded_malloc = dlsym(library, "malloc");
    *(void **)&loaded_free = dlsym(library, "free");
    *(void **)&loaded_check = dlsym(library, "ptm_check");
    MUST(loaded_malloc && loaded_free && loaded_check);
    MUST(loaded_malloc != malloc);
}

static void *use_and_end(void *unused)
{
    char *blocks[BLOCKS];

    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = loaded_malloc(i * i * 20);
        MUST(blocks[i] != NULL);
        memset(blocks[i], 1, i * i * 20);
    }
    errno = EDOM;
    for (size_t i = 0; i < BLOCKS; i++)
        loaded_free(blocks[i]);
    MUST(errno == EDOM);
    return unused;
}

static void use_in_a_thread(void)
{
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, use_and_end, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
}

/* Of address space, in KiB. */
static unsigned long size_of_process(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    MUST(file && fscanf(file, "%lu", &pages) == 1);
    fclose(file);
    return pages * ((unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}

int main(void)
{
    unsigned long before;

    trial_watch();
    take_all_keys();
    load();
    use_and_end(NULL);
    use_in_a_thread();
    before = size_of_process();
    for (int i = 0; i < THREADS; i++)
        use_in_a_thread();
    /* A cache of each would be more than 500 MiB. Where threads meet, or the
     * helper is at work, there may be an arena more, which reserves 64. */
    MUST(size_of_process() < before + (300 << 10));
    MUST(loaded_check() == 0);
    return 0;
}
