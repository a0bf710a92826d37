/*
 * linked_static.c - a program linked with libptm.a, in a dynamic and in a
 * wholly static executable.
 *
 * It has functions of its own that are called as the allocator's inner ones
 * are: the archive must neither clash with them nor call them.
 */
#include "hammer.h"
#include "trial.h"

/* Somebody else's functions. Each ends the program if it is called. */
#define OWN_FUNCTION(name)                                                     \
    void name(void);                                                           \
    void name(void)                                                            \
    {                                                                          \
        MUST(!"the allocator called the program's " #name);                    \
    }

OWN_FUNCTION(heap_create)
OWN_FUNCTION(heap_grow)
OWN_FUNCTION(bins_insert)
OWN_FUNCTION(bins_remove)
OWN_FUNCTION(arena_create)
OWN_FUNCTION(arena_get2)
OWN_FUNCTION(arena_for_chunk)
OWN_FUNCTION(chunk_size)
OWN_FUNCTION(lock_acquire)
OWN_FUNCTION(lock_release)
OWN_FUNCTION(fatal)
OWN_FUNCTION(_int_malloc)
OWN_FUNCTION(_int_free)
OWN_FUNCTION(os_map)
OWN_FUNCTION(options_read)

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    hammer_some(2000);
    hammer_some_in_threads(8, 500);
    hammer_start(4);
    for (int i = 0; i < 50; i++) {
        pid_t child = fork();

        if (child == 0) {
            trial_watch();
            hammer_some(50);
            hammer_free_shelves();
            MUST(ptm_check() == 0);
            _exit(0);
        }
        trial_child_must_succeed(child);
    }
    hammer_stop();
    MUST(ptm_check() == 0);
    return 0;
}
