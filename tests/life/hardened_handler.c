/*
 * hardened_handler.c - a handler that allocates while a free is looking at the
 * block that it was given.
 *
 * As a collector's write barrier does, the handler catches a fault in the
 * program's own memory: here the end of the block, which free reads before it
 * takes it in. The thread has come to another arena by then, and its quarantine
 * has not followed: the handler's malloc is what it would go along with. The
 * block must not end up among those of the other arena.
 */
#include "trial.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>

enum { NOT_STOCKED = 30000, FRESH = 400 };

static char *guarded;
static size_t page;
static void *volatile from_handler;
static sem_t visiting, leave;

static void allocate_in_handler(int number)
{
    (void)number;
    MUST(mprotect(guarded, page, PROT_READ | PROT_WRITE) == 0);
    from_handler = malloc(FRESH);
}

static int stay(void *memory, size_t size, void *data)
{
    (void)memory, (void)size, (void)data;
    sem_post(&visiting);
    while (sem_wait(&leave) != 0) {
    }
    return 1;
}

/* Has the lock of the first arena for a while. */
static void *visit(void *unused)
{
    MUST(ptm_visit(stay, NULL) == 1);
    return unused;
}

static void come_to_another_arena(void)
{
    pthread_t visitor;
    MUST(pthread_create(&visitor, NULL, visit, NULL) == 0);
    while (sem_wait(&visiting) != 0) {
    }
    free(malloc(NOT_STOCKED));
    sem_post(&leave);
    MUST(pthread_join(visitor, NULL) == 0);
}

int main(void)
{
    struct sigaction action = {.sa_handler = allocate_in_handler};
    trial_watch();
    page = (size_t)sysconf(_SC_PAGESIZE);
    MUST(sem_init(&visiting, 0, 0) == 0 && sem_init(&leave, 0, 0) == 0);
    MUST(sigaction(SIGSEGV, &action, NULL) == 0);
    char *block = malloc(2 * page);
    free(malloc(1)); /* there is a quarantine */
    uintptr_t end = (uintptr_t)block + malloc_usable_size(block);
    guarded = (char *)(end - end % page);
    come_to_another_arena();
    MUST(mprotect(guarded, page, PROT_NONE) == 0);
    free(block);
    MUST(from_handler != NULL);
    malloc_trim(0); /* all that waits goes home */
    free(from_handler);
    return 0;
}
