/*
 * tcache_metadata_hijacking: the pointer that leads to the thread's cache is
 * overwritten with one to a false cache. In ptm all that stands between a heap
 * and the records of it is address space: here a new thread's.
 */
#include "technique.h"

static _Alignas(16) char target[4096];

static void *attack(void *unused)
{
    void *before = malloc(MAPPED);
    void *cached = malloc(SMALL);
    free(opaque(cached));
    overrun(before, MAPPED, cached, target + 64);
    for (int i = 0; i < 8; i++) {
        overrun(malloc(MAPPED), MAPPED, cached, target + 64);
        grab(SMALL, target, sizeof target);
    }
    fails();
    return unused;
}

int main(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, attack, NULL) != 0) {
        return 1;
    }
    pthread_join(thread, NULL);
    return 1;
}
