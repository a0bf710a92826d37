/*
 * Thread caches: blocks that were freed come back for the next request of
 * their class, sound and of the right size; what one thread frees and another
 * one, or nobody, needs goes back to the arenas.
 *
 * Without caches all of this must hold as well.
 */
#include "api.h"

#include <pthread.h>

#include "contention.h"

/* The requests at both ends of each class: multiples of 16 up to 1 KiB, then
 * 16 to the octave. */
enum { REQUESTS_MAX = 500 };
static size_t requests[REQUESTS_MAX];
static size_t request_count;

static void add_request(size_t size)
{
    assert_true(request_count < REQUESTS_MAX);
    requests[request_count++] = size;
}

static int list_requests(void **state)
{
    (void)state;
    add_request(0);
    for (size_t chunk = 32; chunk < 1024; chunk += 16) {
        add_request(chunk - 8);
        add_request(chunk - 7);
    }
    for (size_t octave = 1024; octave < CACHED_CHUNK_MAX - 16; octave *= 2) {
        for (size_t step = 0; step < 8; step++) {
            size_t chunk = octave + step * (octave / 8) + 16;
            add_request(chunk - 8);
            add_request(chunk - 7);
        }
    }
    add_request((256 << 10) - 1);
    return 0;
}

/* Of every request at once; `seed` tells the blocks of two rounds apart. */
static unsigned char *blocks[REQUESTS_MAX];

static void take_all(unsigned seed)
{
    for (unsigned i = 0; i < request_count; i++) {
        blocks[i] = malloc(requests[i]);
        assert_non_null(blocks[i]);
        assert_true(is_aligned(blocks[i], 16));
        size_t usable = malloc_usable_size(blocks[i]);
        /* The next larger class may help out, and hold blocks of the next. */
        size_t chunk = chunk_for(requests[i]);
        assert_in_range(usable, requests[i] == 0 ? 0 : chunk - 8,
                        most_usable(chunk_for(chunk)));
        fill(blocks[i], usable, seed + i);
    }
}

static void free_all(unsigned seed)
{
    for (unsigned i = 0; i < request_count; i++) {
        size_t usable = malloc_usable_size(blocks[i]);
        assert_true(holds(blocks[i], usable, seed + i));
    }
    for (unsigned i = 0; i < request_count; i++) {
        free(blocks[i]);
    }
}

/* The second round is served from caches. */
static void a_class_holds_what_it_serves(void **state)
{
    (void)state;
    for (unsigned seed = 0; seed < 2; seed++) {
        take_all(seed);
        assert_int_equal(ptm_check(), 0);
        free_all(seed);
        assert_int_equal(ptm_check(), 0);
    }
}

/* 32 KiB in one class are several magazines, which go to the depot and come
 * back. */
static void blocks_from_the_depot_overlap_nothing(void **state)
{
    (void)state;
    enum { BLOCKS = 1000 };
    static const size_t sizes[] = {24, 100, 1016, 1017, 5000};
    static void *many[BLOCKS];
    for (unsigned k = 0; k < 3 * count_of(sizes); k++) {
        size_t size = sizes[k % count_of(sizes)];
        for (unsigned i = 0; i < BLOCKS; i++) {
            many[i] = malloc(size);
            assert_non_null(many[i]);
            fill(many[i], size, i + k);
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            assert_true(holds(many[i], size, i + k));
        }
        for (unsigned i = 0; i < BLOCKS; i++) {
            free(many[i * 7 % BLOCKS]);
        }
        assert_int_equal(ptm_check(), 0);
    }
}

static void a_freed_block_serves_the_next_request(void **state)
{
    (void)state;
    unsigned same = 0;
    malloc_trim(0);
    for (unsigned i = 0; i < request_count && caches_are_on(); i++) {
        void *block = malloc(requests[i]);
        free(block);
        void *again = malloc(requests[i]);
        same += again == block;
        free(again);
    }
    /* Nearly always: a block may be a little larger than its class, and a cache
     * that is full may have no room for a class. */
    assert_true(same > request_count * 9 / 10 || !caches_are_on());
}

static void calloc_clears_what_was_cached(void **state)
{
    (void)state;
    for (unsigned i = 0; i < request_count; i++) {
        void *block = malloc(requests[i]);
        memset(block, 0xee, malloc_usable_size(block));
        free(block);
        void *zeroed = calloc(1, requests[i]);
        assert_non_null(zeroed);
        assert_true(all_bytes_are(zeroed, requests[i], 0));
        free(zeroed);
    }
}

/* ---- hooks see every call, though caches are full -------------------------
 */

static int hooked_calls;

static void *counting_malloc(size_t size, const void *caller)
{
    (void)caller;
    hooked_calls++;
    return malloc(size);
}

static void counting_free(void *memory, const void *caller)
{
    (void)caller;
    hooked_calls++;
    free(memory);
}

static void *counting_realloc(void *memory, size_t size, const void *caller)
{
    (void)caller;
    hooked_calls++;
    return realloc(memory, size);
}

static const struct ptm_hooks counting_hooks = {
    .malloc_hook = counting_malloc,
    .free_hook = counting_free,
    .realloc_hook = counting_realloc,
};

static void fill_caches(void)
{
    void *two[REQUESTS_MAX][2];
    for (unsigned i = 0; i < request_count; i++) {
        two[i][0] = malloc(requests[i]);
        two[i][1] = malloc(requests[i]);
    }
    for (unsigned i = 0; i < request_count; i++) {
        free(two[i][0]);
        free(two[i][1]);
    }
}

/* One call of each kind for each class; returns how many. */
static int call_everything(void)
{
    for (unsigned i = 0; i < request_count; i++) {
        void *volatile block = malloc(requests[i]);
        block = realloc(block, requests[i] + 1);
        block = realloc(block, requests[i] + 1);
        void *volatile zeroed = calloc(1, requests[i]);
        free(block);
        free(zeroed);
    }
    return (int)request_count * 6;
}

static void hooks_see_calls_that_caches_could_serve(void **state)
{
    (void)state;
    fill_caches();
    hooked_calls = 0;
    ptm_set_hooks(&counting_hooks);
    int calls = call_everything();
    ptm_set_hooks(NULL);
    assert_int_equal(hooked_calls, calls);
    calls = call_everything();
    assert_int_equal(hooked_calls, calls);
}

/* A thread whose cache is full waits for the hooks. */
static pthread_barrier_t barrier;
static int calls_expected;

static void *call_everything_at_the_barrier(void *unused)
{
    fill_caches();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    calls_expected = call_everything();
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

static void hooks_see_the_calls_of_other_threads(void **state)
{
    (void)state;
    pthread_t thread;
    pthread_barrier_init(&barrier, NULL, 2);
    hooked_calls = 0;
    assert_int_equal(
        pthread_create(&thread, NULL, call_everything_at_the_barrier, NULL), 0);
    pthread_barrier_wait(&barrier);
    ptm_set_hooks(&counting_hooks);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    ptm_set_hooks(NULL);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    assert_int_equal(hooked_calls, calls_expected);
}

/* ---- what other threads free ----------------------------------------------
 */

enum { BATCH = 2000 };

struct batch {
    size_t size;
    void *blocks[BATCH];
    size_t count;
    bool is_elsewhere; /* freed by a thread of another arena */
};

static void *free_the_batch(void *argument)
{
    struct batch *batch = argument;
    if (batch->is_elsewhere && !attach_to_another_arena(PATIENCE_OF_TESTS)) {
        return argument;
    }
    for (size_t i = 0; i < batch->count; i++) {
        free(batch->blocks[i]);
    }
    return NULL;
}

static void have_a_batch_freed(struct batch *batch)
{
    pthread_t thread;
    void *result = NULL;
    for (size_t i = 0; i < batch->count; i++) {
        batch->blocks[i] = malloc(batch->size);
        assert_non_null(batch->blocks[i]);
    }
    assert_int_equal(pthread_create(&thread, NULL, free_the_batch, batch), 0);
    pthread_join(thread, &result);
    assert_null(result);
}

/* The first time, the thread and its arena take what they need for good. */
static void check_batches(bool is_elsewhere)
{
    static const size_t shapes[][2] = {
        {24, 100},   {24, BATCH}, {1000, 700},
        {5000, 190}, {20000, 48}, {HEAP_BLOCK, 30},
    };
    static struct batch batch;
    batch.is_elsewhere = is_elsewhere;
    have_had_a_second_thread();
    for (unsigned i = 0; i < count_of(shapes); i++) {
        batch.size = shapes[i][0];
        batch.count = shapes[i][1];
        have_a_batch_freed(&batch);
        have_a_batch_freed(&batch);
        size_t in_use = settled_use();
        have_a_batch_freed(&batch);
        assert_int_equal(ptm_check(), 0);
        assert_int_equal(settled_use(), in_use);
    }
    batch.count = 0;
    have_a_batch_freed(&batch);
    size_t in_use = settled_use();
    for (unsigned i = 0; i < count_of(shapes); i++) {
        batch.size = shapes[i][0];
        batch.count = shapes[i][1];
        have_a_batch_freed(&batch);
        assert_int_equal(settled_use(), in_use);
    }
}

static void a_thread_of_the_same_arena_gives_back_all(void **state)
{
    (void)state;
    check_batches(false);
}

static void a_thread_of_another_arena_gives_back_all(void **state)
{
    (void)state;
    check_batches(true);
}

/* A thread that ends with a full cache. */
static void *leave_a_full_cache(void *unused)
{
    fill_caches();
    return unused;
}

static void a_thread_that_ends_leaves_nothing_behind(void **state)
{
    (void)state;
    pthread_t thread;
    have_had_a_second_thread();
    size_t in_use = settled_use();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            pthread_create(&thread, NULL, leave_a_full_cache, NULL), 0);
        pthread_join(thread, NULL);
        assert_int_equal(ptm_check(), 0);
        assert_int_equal(settled_use(), in_use);
    }
}

/* One thread allocates, one of another arena frees, and neither ends nor is
 * asked to give anything back. */
enum { ROUNDS = 200, ROUND_BLOCKS = 1000, ROUND_SIZE = 1000 };
static void *handed_over[ROUND_BLOCKS];

static void *consume(void *unused)
{
    bool is_elsewhere = attach_to_another_arena(PATIENCE_OF_TESTS);
    settle();
    pthread_barrier_wait(&barrier);
    for (int round = 0; round < ROUNDS; round++) {
        pthread_barrier_wait(&barrier);
        for (int i = 0; i < ROUND_BLOCKS; i++) {
            free(handed_over[i]);
        }
        pthread_barrier_wait(&barrier);
    }
    return is_elsewhere ? unused : &barrier;
}

static void what_a_consumer_frees_is_used_again(void **state)
{
    (void)state;
    pthread_t thread;
    void *result = NULL;
    have_had_a_second_thread();
    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, consume, NULL), 0);
    pthread_barrier_wait(&barrier);
    settle();
    size_t in_use = mallinfo2().uordblks;
    size_t most = 0;
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < ROUND_BLOCKS; i++) {
            handed_over[i] = malloc(ROUND_SIZE);
        }
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        size_t now = mallinfo2().uordblks;
        most = now > most ? now : most;
    }
    pthread_join(thread, &result);
    pthread_barrier_destroy(&barrier);
    assert_null(result);
    /* A round's worth, and what may wait on the way. */
    assert_true(most - in_use < 6 * (size_t)ROUND_BLOCKS * ROUND_SIZE);
    assert_int_equal(settled_use(), in_use);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(a_class_holds_what_it_serves),
        api_test(blocks_from_the_depot_overlap_nothing),
        api_test(a_freed_block_serves_the_next_request),
        api_test(calloc_clears_what_was_cached),
        api_test(hooks_see_calls_that_caches_could_serve),
        api_test(hooks_see_the_calls_of_other_threads),
        api_test(a_thread_of_the_same_arena_gives_back_all),
        api_test(a_thread_that_ends_leaves_nothing_behind),
        api_test(a_thread_of_another_arena_gives_back_all),
        api_test(what_a_consumer_frees_is_used_again),
    };
    return cmocka_run_group_tests(tests, list_requests, NULL);
}
