/*
 * early.c - the allocator serves before anything was constructed.
 *
 * ld.so hands the program to the allocator before the first constructor runs.
 * Blocks are taken in an ifunc's resolver, in preinit_array, in the
 * constructors of a library and of the program; main finds them all intact,
 * and finds errno 0.
 */
#include "early_library.h"
#include "trial.h"

#include <pthread.h>

enum { BLOCK_SIZE = 1000, RESIZED = 100 * 1000 };

static void *block_of_resolver;
static void *block_of_preinit;
static void *mapping_of_preinit;
static void *block_of_constructor;

/* The resolver runs while the program is still being relocated, so it calls
   nothing but malloc, which lives in a library that is already complete. */
static int answer(void)
{
    return 42;
}

typedef int answer_function(void);

__attribute__((used)) static answer_function *resolve_answer(void)
{
    block_of_resolver = malloc(BLOCK_SIZE);
    return answer;
}

int resolved_answer(void) __attribute__((ifunc("resolve_answer")));

static void *filled_block(size_t size, int byte)
{
    void *block = malloc(size);

    MUST(block != NULL);
    return memset(block, byte, size);
}

static void run_before_all_constructors(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    (void)envp;
    block_of_preinit = filled_block(BLOCK_SIZE, 'p');
    mapping_of_preinit = filled_block(1 << 20, 'm');
    free(filled_block(BLOCK_SIZE, 'x'));
    errno = 0;
}

__attribute__((section(".preinit_array"), used)) static void (*preinit)(
    int, char **, char **) = run_before_all_constructors;

__attribute__((constructor)) static void run_before_main(void)
{
    block_of_constructor = filled_block(BLOCK_SIZE, 'c');
    errno = 0;
}

static void must_be_full_of(const void *block, size_t size, int byte)
{
    const unsigned char *bytes = block;

    MUST(block != NULL);
    for (size_t i = 0; i < size; i++)
        MUST(bytes[i] == byte);
}

/* realloc and free of a block that is older than the program. */
static void must_be_resizable(void *block, int byte)
{
    must_be_full_of(block, BLOCK_SIZE, byte);
    block = realloc(block, RESIZED);
    must_be_full_of(block, BLOCK_SIZE, byte);
    free(block);
}

static void *free_in_thread(void *block)
{
    free(block);
    return NULL;
}

int main(void)
{
    pthread_t thread;

    MUST(errno == 0);
    trial_watch();
    MUST(resolved_answer() == 42);
    MUST(block_of_resolver != NULL);
    must_be_resizable(block_of_preinit, 'p');
    must_be_resizable(block_of_constructor, 'c');
    must_be_resizable(early_library_block(), EARLY_LIBRARY_BYTE);
    must_be_full_of(mapping_of_preinit, 1 << 20, 'm');
    free(mapping_of_preinit);
    MUST(pthread_create(&thread, NULL, free_in_thread, block_of_resolver) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    MUST(ptm_check() == 0);
    trial_malloc_must_be_ptm();
    return 0;
}
