/*
 * arenas_bounded.c - a thousand threads that come and go do not leave a
 * thousand arenas.
 *
 * An exiting thread's arena goes to a free list, from which the next thread
 * takes it. Run with a limit on arenas that is far away
 * (PTM_OPTIONS=arena_max=500, see CMakeLists.txt), so that it is their reuse
 * that bounds their number. The threads of a wave contend for all they are
 * worth; waves follow each other.
 */
#include "arena_count.h"
#include "trial.h"

#include <pthread.h>

enum {
    THREADS_PER_WAVE = 4,
    WAVES = 250,
    ROUNDS = 200,
    BLOCKS = 20,
};

static pthread_barrier_t start_line;

static void *contend(void *unused)
{
    void *blocks[BLOCKS];

    pthread_barrier_wait(&start_line);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc((size_t)(i * round) % 50000);
            MUST(blocks[i] != NULL);
        }
        for (int i = 0; i < BLOCKS; i++)
            free(blocks[i]);
    }
    return unused;
}

static void run_wave(void)
{
    pthread_t threads[THREADS_PER_WAVE];

    for (int i = 0; i < THREADS_PER_WAVE; i++)
        MUST(pthread_create(&threads[i], NULL, contend, NULL) == 0);
    for (int i = 0; i < THREADS_PER_WAVE; i++)
        MUST(pthread_join(threads[i], NULL) == 0);
}

int main(void)
{
    int arenas;

    trial_watch();
    trial_malloc_must_be_ptm();
    MUST(pthread_barrier_init(&start_line, NULL, THREADS_PER_WAVE) == 0);
    for (int i = 0; i < WAVES; i++) {
        trial_watch();
        run_wave();
    }
    arenas = arena_count();
    printf("%d arenas after %d threads\n", arenas, WAVES * THREADS_PER_WAVE);
    MUST(arenas <= 2 * THREADS_PER_WAVE + 1);
    MUST(ptm_check() == 0);
    return 0;
}
