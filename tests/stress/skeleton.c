/*
 * skeleton.c - the retries that the allocator's design turns on, the end where
 * all fail, and the way of an arena from thread to thread.
 *
 *   1. A thread of a non-main arena whose mappings are refused is served by
 *      the main arena, and only when that has nothing either by a third one.
 *   2. A thread of the main arena whose growth is refused is served by another
 *      arena.
 *   3. Where everything is refused the answer is NULL with ENOMEM, and no lock
 *      is left taken: another thread allocates in every arena afterwards.
 *   4. The arena of a thread that has ended serves the next new thread.
 *
 * The arena that served is read off the flag in a block's size word.
 */
#include "faulty_syscall.h"
#include "other_arena.h"
#include "pattern.h"
#include "trial.h"

#include <malloc.h>
#include <pthread.h>

enum {
    RESERVE_BLOCKS = 200,
    MOST_BLOCKS = 4000,
    BLOCK_SIZE = 50 * 1000,
};

/* Whatever this thread asks the kernel for is refused. */
static const struct faulty_plan refuse_marked_threads = {
    .kinds = FAULTY_MMAP | FAULTY_MPROTECT | FAULTY_MREMAP,
    .marked_threads_only = true,
    .one_in = 1,
};

static const struct faulty_plan refuse_all = {
    .kinds = FAULTY_ALL,
    .one_in = 1,
};

/* Blocks that one thread takes until it gets no more. */
struct haul {
    void *blocks[MOST_BLOCKS];
    int count;
    int of_main_arena;
    int of_other_arenas;
};

static void haul_in(struct haul *haul)
{
    void *block;

    haul->count = haul->of_main_arena = haul->of_other_arenas = 0;
    errno = 0;
    while (haul->count < MOST_BLOCKS && (block = malloc(BLOCK_SIZE))) {
        MUST(!is_direct_mapping(block));
        pattern_fill(block, BLOCK_SIZE, (uintptr_t)block);
        if (is_outside_main_arena(block))
            haul->of_other_arenas++;
        else
            haul->of_main_arena++;
        haul->blocks[haul->count++] = block;
    }
    MUST(errno == ENOMEM);
    MUST(haul->count < MOST_BLOCKS);
}

static void throw_back(struct haul *haul)
{
    while (haul->count > 0) {
        void *block = haul->blocks[--haul->count];

        MUST(pattern_holds(block, BLOCK_SIZE, BLOCK_SIZE, (uintptr_t)block));
        free(block);
    }
}

/*
 * Free memory in the calling thread's arena that does not go back to the
 * kernel: every other block of a row stays, so the free ones neither merge nor
 * reach the top.
 */
static void *pins_of_main_arena[RESERVE_BLOCKS];
static void *pins_of_other_arena[RESERVE_BLOCKS];

static void leave_holes(void **pins)
{
    void *holes[RESERVE_BLOCKS];

    for (int i = 0; i < RESERVE_BLOCKS; i++) {
        holes[i] = malloc(BLOCK_SIZE);
        pins[i] = malloc(100);
        MUST(holes[i] && pins[i]);
    }
    for (int i = 0; i < RESERVE_BLOCKS; i++)
        free(holes[i]);
}

static void remove_pins(void **pins)
{
    for (int i = 0; i < RESERVE_BLOCKS; i++)
        free(pins[i]);
}

static void in_new_thread(void *(*body)(void *))
{
    pthread_t thread;

    MUST(pthread_create(&thread, NULL, body, NULL) == 0);
    MUST(pthread_join(thread, NULL) == 0);
}

/* 1: the arena of this thread cannot grow. The main one has holes, and so has
   a third one, which nobody uses any more. */
static uintptr_t heap_to_avoid;

static uintptr_t heap_of(const void *block)
{
    return (uintptr_t)block >> 26;
}

static bool is_in_a_third_arena(const void *block)
{
    return is_outside_main_arena(block) && heap_of(block) != heap_to_avoid;
}

static void *leave_a_third_arena(void *unused)
{
    MUST(attach_to_arena_where(is_in_a_third_arena, PATIENCE_OF_TESTS));
    leave_holes(pins_of_other_arena);
    MUST(is_in_a_third_arena(pins_of_other_arena[0]));
    return unused;
}

/* Own arena first, then the main one, then the third. */
static void must_have_come_in_order(const struct haul *haul)
{
    int own = 0;

    while (own < haul->count && heap_of(haul->blocks[own]) == heap_to_avoid)
        own++;
    for (int i = own; i < own + haul->of_main_arena; i++)
        MUST(!is_outside_main_arena(haul->blocks[i]));
    MUST(haul->of_main_arena >= RESERVE_BLOCKS / 2);
    MUST(is_in_a_third_arena(haul->blocks[haul->count - 1]));
}

static void *retry_in_main_arena(void *unused)
{
    static struct haul haul;
    void *probe;

    MUST(attach_to_another_arena(PATIENCE_OF_TESTS));
    probe = malloc(BLOCK_SIZE);
    MUST(probe != NULL);
    heap_to_avoid = heap_of(probe);
    in_new_thread(leave_a_third_arena);
    faulty_mark_this_thread(true);
    faulty_use(&refuse_marked_threads);
    haul_in(&haul);
    MUST(faulty_calls_refused() > 0);
    faulty_use(NULL);
    must_have_come_in_order(&haul);
    MUST(ptm_check() == 0);
    throw_back(&haul);
    free(probe);
    faulty_mark_this_thread(false);
    return unused;
}

/* 2: the other arena has holes, made by a thread that is still there. */
static pthread_barrier_t other_arena_has_holes;
static pthread_barrier_t holes_are_used;

static void *keep_an_arena_with_holes(void *unused)
{
    MUST(attach_to_another_arena(PATIENCE_OF_TESTS));
    leave_holes(pins_of_other_arena);
    MUST(is_outside_main_arena(pins_of_other_arena[0]));
    pthread_barrier_wait(&other_arena_has_holes);
    pthread_barrier_wait(&holes_are_used);
    remove_pins(pins_of_other_arena);
    return unused;
}

static void retry_in_other_arena(void)
{
    static struct haul haul;

    faulty_mark_this_thread(true);
    faulty_use(&refuse_marked_threads);
    haul_in(&haul);
    MUST(faulty_calls_refused() > 0);
    faulty_use(NULL);
    faulty_mark_this_thread(false);
    MUST(haul.of_other_arenas >= RESERVE_BLOCKS / 2);
    MUST(ptm_check() == 0);
    throw_back(&haul);
}

static void play_first_retry(void)
{
    leave_holes(pins_of_main_arena);
    MUST(!is_outside_main_arena(pins_of_main_arena[0]));
    in_new_thread(retry_in_main_arena);
    remove_pins(pins_of_main_arena);
    remove_pins(pins_of_other_arena);
    MUST(ptm_check() == 0);
}

static void play_second_retry(void)
{
    void *probe = malloc(BLOCK_SIZE);
    pthread_t keeper;

    MUST(probe && !is_outside_main_arena(probe));
    free(probe);
    MUST(pthread_barrier_init(&other_arena_has_holes, NULL, 2) == 0);
    MUST(pthread_barrier_init(&holes_are_used, NULL, 2) == 0);
    MUST(pthread_create(&keeper, NULL, keep_an_arena_with_holes, NULL) == 0);
    pthread_barrier_wait(&other_arena_has_holes);
    retry_in_other_arena();
    pthread_barrier_wait(&holes_are_used);
    MUST(pthread_join(keeper, NULL) == 0);
    MUST(ptm_check() == 0);
}

/* 3: every entry point, for a size that fits nowhere and one that is mapped. */
static void entry_points_must_refuse(size_t size)
{
    void *block = &errno;
    void *small = malloc(100);

    MUST(small == NULL || malloc_usable_size(small) >= 100);
    errno = 0;
    MUST(malloc(size) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(calloc(1, size) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(realloc(NULL, size) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(realloc(small, size) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(reallocarray(NULL, size, 1) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(aligned_alloc(64, size) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(memalign(8192, size) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(valloc(size) == NULL && errno == ENOMEM);
    errno = 0;
    MUST(pvalloc(size) == NULL && errno == ENOMEM);
    MUST(posix_memalign(&block, 64, size) == ENOMEM && block == &errno);
    free(small);
}

static void *allocate_in_other_arena(void *unused)
{
    void *block;

    MUST(attach_to_another_arena(PATIENCE_OF_TESTS));
    block = malloc(BLOCK_SIZE);
    MUST(block != NULL);
    free(block);
    return unused;
}

static void *allocate_a_lot(void *unused)
{
    void *blocks[RESERVE_BLOCKS];

    for (int i = 0; i < RESERVE_BLOCKS; i++) {
        blocks[i] = malloc(BLOCK_SIZE * (size_t)(i % 10));
        MUST(blocks[i] != NULL);
    }
    for (int i = 0; i < RESERVE_BLOCKS; i++)
        free(blocks[i]);
    return unused;
}

static void *fail_everywhere(void *attach)
{
    static struct haul haul;

    MUST(!attach || attach_to_another_arena(PATIENCE_OF_TESTS));
    faulty_use(&refuse_all);
    haul_in(&haul);
    entry_points_must_refuse(BLOCK_SIZE);
    entry_points_must_refuse(1 << 20);
    entry_points_must_refuse(100 << 20);
    MUST(faulty_calls_refused() > 0);
    faulty_use(NULL);
    throw_back(&haul);
    MUST(ptm_check() == 0);
    return NULL;
}

static void play_end(void)
{
    static int yes;
    pthread_t thread;

    fail_everywhere(NULL);
    in_new_thread(allocate_a_lot);
    in_new_thread(allocate_in_other_arena);
    MUST(pthread_create(&thread, NULL, fail_everywhere, &yes) == 0);
    MUST(pthread_join(thread, NULL) == 0);
    in_new_thread(allocate_a_lot);
    in_new_thread(allocate_in_other_arena);
    allocate_a_lot(NULL);
    MUST(ptm_check() == 0);
}

/* 4 */
static void *allocate_where_thread_ended(void *unused)
{
    void *block = malloc(BLOCK_SIZE);

    MUST(block != NULL);
    MUST(is_outside_main_arena(block));
    free(block);
    return unused;
}

static void play_free_list(void)
{
    in_new_thread(allocate_in_other_arena);
    for (int i = 0; i < 10; i++)
        in_new_thread(allocate_where_thread_ended);
}

/* Each part in a child, where the one thread there is has the main arena. */
static void play(void (*part)(void))
{
    pid_t child = fork();

    if (child == 0) {
        trial_watch();
        part();
        _exit(0);
    }
    trial_child_must_succeed(child);
}

int main(void)
{
    trial_watch();
    trial_malloc_must_be_ptm();
    play(play_first_retry);
    play(play_second_retry);
    play(play_end);
    play(play_free_list);
    return 0;
}
