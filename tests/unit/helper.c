/*
 * helper.c - the helper begins, ends, and works beside threads that allocate.
 * Decays are short here, so that it has always something to do.
 */
#define _GNU_SOURCE
#include "helper.h"

#include "unit.h"

#include <time.h>

#include "actor.h"
#include "alloc.h"
#include "arenas.h"
#include "bell.h"
#include "child.h"
#include "faulty_syscall.h"
#include "inspect.h"
#include "mapped.h"
#include "options.h"
#include "purge.h"
#include "rng.h"

enum {
    THREADS = 3,
    ROUNDS = 300,
    BLOCKS = 200,
};

static bool all_is_sound(void)
{
    struct damage damage;
    return inspect_everything(&damage);
}

static void sleep_for(long milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static void give(void *block)
{
    if (block != NULL) {
        alloc_free(block);
    }
}

/* Blocks of all sizes, some of them mappings, freed at random. */
static void allocate_and_free(void *argument)
{
    struct rng rng = {(uintptr_t)argument};
    char *blocks[BLOCKS] = {NULL};
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            if (rng_below(&rng, 2) == 0) {
                continue;
            }
            give(blocks[i]);
            size_t size =
                1 + (rng_next(&rng) & 0xfffff) / (1 + rng_below(&rng, 1000));
            blocks[i] =
                rng_below(&rng, 3) ? alloc_malloc(size) : alloc_calloc(size);
            MUST(blocks[i] != NULL);
            blocks[i][0] = 1;
            blocks[i][size - 1] = 1;
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        give(blocks[i]);
    }
}

static void it_works_beside_others(void *unused)
{
    struct actor actors[THREADS];
    (void)unused;
    option_set(OPTION_DECAY, 4);
    helper_start(pthread_create);
    for (uintptr_t i = 0; i < THREADS; i++) {
        actor_start(&actors[i]);
        actor_begin(&actors[i], allocate_and_free, (void *)(i + 1));
    }
    for (int i = 0; i < 20; i++) {
        sleep_for(5);
        MUST(all_is_sound());
        if (i % 5 == 0) {
            helper_stop();
            helper_start(pthread_create);
        }
    }
    for (int i = 0; i < THREADS; i++) {
        actor_finish(&actors[i]);
        actor_end(&actors[i]);
    }
    MUST(all_is_sound());
    /* Of itself it comes to rest, and all the mappings are gone. */
    while (purge_is_wanted() ||
           __atomic_load_n(&bell, __ATOMIC_RELAXED) != BELL_ASLEEP) {
        sleep_for(5);
    }
    /* Woken, it works again. */
    allocate_and_free((void *)7);
    while (purge_is_wanted()) {
        sleep_for(5);
    }
    helper_stop();
    MUST(all_is_sound());
}

static void a_kernel_that_refuses_is_not_asked_for_ever(void *unused)
{
    const struct faulty_plan refuse = {.kinds = FAULTY_MADVISE | FAULTY_MUNMAP,
                                       .first = 1,
                                       .how_many = FAULTY_FOR_EVER};
    (void)unused;
    option_set(OPTION_DECAY, 4);
    faulty_use(&refuse);
    helper_start(pthread_create);
    allocate_and_free((void *)3);
    /* A kernel that refuses everything lets it sleep all the same. */
    while (__atomic_load_n(&bell, __ATOMIC_RELAXED) != BELL_ASLEEP) {
        sleep_for(5);
    }
    MUST(faulty_calls_refused() > 0);
    helper_stop();
    faulty_use(NULL);
    MUST(all_is_sound());
}

static int refuse_threads(pthread_t *made, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument)
{
    (void)made;
    (void)attributes;
    (void)start;
    (void)argument;
    return EAGAIN;
}

/* Those who free look at the clock then. */
static void without_it_others_do_its_work(void *unused)
{
    (void)unused;
    option_set(OPTION_DECAY, 4);
    helper_start(refuse_threads);
    helper_stop();
    char *block = alloc_malloc(1 << 20);
    block[0] = 1;
    alloc_free(block);
    MUST(mapped_keeps_any());
    void *blocks[BLOCKS];
    while (mapped_keeps_any()) {
        sleep_for(1);
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = alloc_memalign(64, 100);
        }
        for (int i = 0; i < BLOCKS; i++) {
            alloc_free(blocks[i]);
        }
    }
    MUST(all_is_sound());
}

static void it_can_end_for_ever(void *unused)
{
    (void)unused;
    option_set(OPTION_DECAY, 4);
    helper_start(pthread_create);
    helper_stop_for_ever();
    helper_stop_for_ever();
    helper_start(refuse_threads);
    helper_stop();
    MUST(all_is_sound());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit_test_in_child(it_works_beside_others),
        unit_test_in_child(a_kernel_that_refuses_is_not_asked_for_ever),
        unit_test_in_child(without_it_others_do_its_work),
        unit_test_in_child(it_can_end_for_ever),
    };
    return UNIT_RUN(tests);
}
