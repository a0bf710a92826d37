/*
 * arena.c - chunks are carved, split and merged; top grows and is closed; heaps
 * come and go; blocks wait for caches. After each step the whole arena is
 * checked. See arena_shape.c and arena_trim.c for the rest.
 */
#define _GNU_SOURCE
#include "own_arena.h"

#include "child.h"
#include "faulty_syscall.h"
#include "rng.h"

/* ---- carving ------------------------------------------------------------ */

static void chunks_follow_each_other(void **state)
{
    (void)state;
    assert_null(own.top);
    struct chunk *first = take(32);
    assert_ptr_equal(first, heap_first_chunk(own.heaps));
    assert_int_equal(chunk_low(first), 32 | 4 | 1);
    struct chunk *second = take(4096);
    assert_ptr_equal(second, chunk_next(first));
    assert_int_equal(chunk_low(second), 4096 | 4 | 1);
    struct chunk *third = take(48);
    assert_ptr_equal(third, chunk_next(second));
    assert_ptr_equal(own.top, chunk_next(third));
    assert_ptr_equal(chunk_next(own.top), heap_end(own.heaps));
    assert_int_equal(own.heap_count, 1);
    assert_int_equal(own.system_bytes, own.heaps->committed);
    assert_int_equal(own.max_system_bytes, own.system_bytes);
    fill(first, 1);
    fill(second, 2);
    fill(third, 3);
    assert_true(own_is_sound());
}

static void a_fresh_heap_has_a_growth_step(void **state)
{
    (void)state;
    take(32);
    assert_int_equal(own.system_bytes, HEAP_GROW_MIN);
    own_end(NULL);
    own_begin(NULL);
    option_set(OPTION_TOP_PAD, 1 << 20);
    take(32);
    option_set(OPTION_TOP_PAD, 0);
    assert_int_equal(own.system_bytes, HEAP_GROW_MIN + (1 << 20));
    assert_true(own_is_sound());
}

static void top_grows_in_steps_that_grow(void **state)
{
    size_t last_step = 0, grown = 0;
    (void)state;
    for (int i = 0; i < 400; i++) {
        size_t before = own.system_bytes;
        fill(take(65536), 1);
        size_t step = own.system_bytes - before;
        if (step > 0) {
            assert_true(step >= HEAP_GROW_MIN);
            assert_true(step >= before / HEAP_GROW_SHARE);
            assert_true(step >= last_step);
            last_step = step;
            grown++;
        }
    }
    assert_true(grown > 3 && grown < 40);
    assert_int_equal(own.heap_count, 1);
    assert_true(own_is_sound());
}

static void top_keeps_a_chunk(void **state)
{
    (void)state;
    take(32);
    size_t room = chunk_size(own.top);
    struct chunk *chunk = take(room - MIN_CHUNK_SIZE);
    assert_int_equal(chunk_size(own.top), MIN_CHUNK_SIZE);
    assert_int_equal(own.system_bytes, HEAP_GROW_MIN);
    fill(chunk, 1);
    assert_true(own_is_sound());
    /* One step more makes it grow. */
    give(chunk);
    chunk = take(room - MIN_CHUNK_SIZE + 16);
    assert_true(own.system_bytes > HEAP_GROW_MIN);
    fill(chunk, 1);
    assert_true(own_is_sound());
}

static void what_the_kernel_refuses_is_not_had(void **state)
{
    const struct faulty_plan no_memory = {.kinds =
                                              FAULTY_MMAP | FAULTY_MPROTECT,
                                          .first = 1,
                                          .how_many = FAULTY_FOR_EVER};
    (void)state;
    faulty_use(&no_memory);
    assert_null(take(32));
    assert_int_equal(own.heap_count, 0);
    faulty_use(NULL);
    struct chunk *freed = take_fenced(512);
    give(freed);
    size_t room = chunk_size(own.top);
    faulty_use(&no_memory);
    assert_null(take(room));
    assert_true(own_is_sound());
    assert_int_equal(chunk_size(own.top), room);
    /* What it has, it gives still. */
    assert_ptr_equal(take(512), freed);
    assert_non_null(take(room - MIN_CHUNK_SIZE));
    assert_null(take(32));
    faulty_use(NULL);
    assert_non_null(take(32));
    assert_true(own_is_sound());
}

static void no_chunk_is_larger_than_a_heap(void **state)
{
    (void)state;
    assert_null(take(CHUNK_SIZE_MAX));
    assert_null(take(CHUNK_SIZE_MAX - 16));
    assert_int_equal(own.heap_count, 0);
    struct chunk *chunk = take(CHUNK_SIZE_MAX - MIN_CHUNK_SIZE);
    assert_non_null(chunk);
    assert_true(own_is_sound());
    give(chunk);
    assert_true(own_is_empty());
}

/* ---- splitting and merging ---------------------------------------------- */

static void a_free_chunk_is_split(void **state)
{
    (void)state;
    struct chunk *chunk = take_fenced(1024);
    give(chunk);
    assert_ptr_equal(only_free_chunk(), chunk);
    assert_true(own_is_sound());
    assert_ptr_equal(take(400), chunk);
    assert_int_equal(chunk_size(chunk), 400);
    assert_ptr_equal(only_free_chunk(), chunk_at(chunk, 400));
    assert_int_equal(own.bins.bytes, 624);
    assert_true(own_is_sound());
    assert_ptr_equal(take(624), chunk_at(chunk, 400));
    assert_int_equal(own.bins.count, 0);
    assert_true(own_is_sound());
}

/* A rest of 16 bytes can be no chunk; one of 32 can. */
static void a_rest_that_is_no_chunk_stays_with_the_block(void **state)
{
    (void)state;
    struct chunk *chunk = take_fenced(512);
    give(chunk);
    assert_ptr_equal(take(496), chunk);
    assert_int_equal(chunk_size(chunk), 512);
    assert_int_equal(own.bins.count, 0);
    fill(chunk, 1);
    assert_true(own_is_sound());
    give(chunk);
    assert_ptr_equal(take(480), chunk);
    assert_int_equal(chunk_size(chunk), 480);
    assert_int_equal(own.bins.bytes, 32);
    fill(chunk, 1);
    assert_true(own_is_sound());
}

/* Four neighbours freed in every order make one chunk. */
static void neighbours_merge_in_every_order(void **state)
{
    (void)state;
    for (int order = 0; order < 256; order++) {
        struct chunk *chunks[4];
        bool is_free[4] = {false};
        for (int i = 0; i < 4; i++) {
            chunks[i] = take(64 + 16 * (size_t)i);
        }
        struct chunk *fence = take(MIN_CHUNK_SIZE);
        for (int step = 0; step < 4; step++) {
            int i = order >> (2 * step) & 3;
            for (; is_free[i]; i = (i + 1) & 3) {
            }
            is_free[i] = true;
            fill(chunks[i], 0xff);
            give(chunks[i]);
            MUST(own_is_sound());
        }
        assert_ptr_equal(only_free_chunk(), chunks[0]);
        assert_int_equal(chunk_size(chunks[0]), 64 + 80 + 96 + 112);
        give(fence);
        assert_true(own_is_empty());
    }
}

static void the_last_chunk_merges_into_top(void **state)
{
    (void)state;
    struct chunk *first = take(1000 + 8);
    struct chunk *second = take(2000);
    size_t system = own.system_bytes;
    give(first);
    assert_int_equal(own.bins.count, 1);
    give(second); /* takes the first along */
    assert_true(own_is_empty());
    assert_int_equal(chunk_size(own.top), system - HEAP_HEADER_SIZE);
    assert_true(own_is_sound());
}

/* The word of a chunk that was merged away still says that it is free. */
static void a_merged_chunk_is_remembered_as_free(void **state)
{
    (void)state;
    struct chunk *first = take(64);
    struct chunk *second = take(64);
    take(32);
    give(first);
    give(second);
    assert_true(chunk_is_free(second));
    assert_int_equal(chunk_size(second), 64);
    child_must_abort(give_any, second,
                     "ptm: free(): double free: address 0x%zx, size 56, "
                     "arena 200",
                     (size_t)chunk2mem(second));
}

/* ---- what is known to be zero ------------------------------------------- */

static void fresh_memory_is_known_to_be_zero(void **state)
{
    (void)state;
    struct chunk *chunk = take(4096);
    assert_ptr_equal(own.zero_from, chunk2mem(chunk));
    fill(chunk, 0xff);
    chunk = take(4096);
    assert_ptr_equal(own.zero_from, chunk2mem(chunk));
    assert_true(is_zero_behind(chunk, own.zero_from));
}

static void used_memory_is_not(void **state)
{
    (void)state;
    struct chunk *chunk = take_fenced(4096);
    fill(chunk, 0xff);
    give(chunk);
    chunk = take(4096);
    assert_null(own.zero_from);
    /* In top there is some of both. */
    struct chunk *last = take(4096);
    fill(last, 0xff);
    char *end = (char *)chunk2mem(chunk_next(last));
    give(last);
    chunk = take(8192);
    assert_ptr_equal(chunk, last);
    assert_ptr_equal(own.zero_from, end);
    assert_true(is_zero_behind(chunk, own.zero_from));
    fill(chunk, 0xff);
    give(chunk);
    take(4096);
    assert_true(own.zero_from >= end);
}

/* ---- a full heap is closed ---------------------------------------------- */

/* Two chunks that fill a heap, but for a top of `left` bytes. */
static void fill_heap(size_t left, struct chunk *chunks[2])
{
    const size_t half = HEAP_MAX_SIZE / 2;
    chunks[0] = take(half);
    chunks[1] = take(HEAP_MAX_SIZE - HEAP_HEADER_SIZE - half - left);
    MUST(chunks[0] != NULL && chunks[1] != NULL);
    MUST(own.heaps->committed == HEAP_MAX_SIZE);
    MUST(chunk_size(own.top) == left);
}

static void top_becomes_fence_and_rest(void **state)
{
    static const struct {
        size_t left, rest, fence;
    } cases[] = {
        {32, 0, 32},
        {48, 32, 16},
        {64, 48, 16},
        {4096, 4080, 16},
    };
    (void)state;
    for (size_t i = 0; i < count_of(cases); i++) {
        struct chunk *chunks[2];
        fill_heap(cases[i].left, chunks);
        struct heap *heap = own.heaps;
        struct chunk *top = own.top;
        struct chunk *next = take(cases[i].left + 16);
        assert_int_equal(own.heap_count, 2);
        assert_ptr_equal(next, heap_first_chunk(own.heaps));
        assert_ptr_equal(own.heaps->next, heap);
        assert_ptr_equal(heap->previous, own.heaps);
        assert_true(own_is_sound());
        struct chunk *fence = chunk_at(top, cases[i].rest);
        assert_int_equal(chunk_size(fence), cases[i].fence);
        assert_false(chunk_is_free(fence));
        assert_ptr_equal(chunk_next(fence), heap_end(heap));
        assert_int_equal(own.bins.bytes, cases[i].rest);
        if (cases[i].rest > 0) {
            assert_ptr_equal(take(cases[i].rest), top);
            assert_true(own_is_sound());
            give(top);
        }
        assert_int_equal(heap->touched, heap->committed);
        give(chunks[0]);
        assert_true(own_is_sound());
        assert_int_equal(own.heap_count, 2);
        give(chunks[1]);
        sweep(SWEEP_ALL);
        assert_int_equal(own.heap_count, 1);
        assert_int_equal(owner_of(heap), 0);
        assert_int_equal(own.system_bytes, own.heaps->committed);
        give(next);
        assert_true(own_is_empty());
        assert_true(own_is_sound());
        own_end(NULL);
        own_begin(NULL);
    }
}

static void a_fence_is_no_block(void **state)
{
    struct chunk *chunks[2];
    (void)state;
    fill_heap(32, chunks);
    struct chunk *fence = own.top;
    take(64);
    child_must_abort(give_any, fence,
                     "ptm: free(): double free: address 0x%zx, size 24, "
                     "arena 200",
                     (size_t)chunk2mem(fence));
}

static void the_old_heap_serves_on(void **state)
{
    struct chunk *chunks[2];
    (void)state;
    fill_heap(32, chunks);
    take(64);
    give(chunks[0]);
    assert_true(own_is_sound());
    assert_ptr_equal(take(1000 + 8), chunks[0]);
    assert_true(resize(chunks[0], 100000));
    assert_true(own_is_sound());
    give(chunks[1]);
    assert_true(own_is_sound());
    assert_int_equal(own.heap_count, 2);
    give(chunks[0]);
    sweep(SWEEP_ALL);
    assert_int_equal(own.heap_count, 1);
    assert_true(own_is_sound());
}

/* The heap in the middle of the list, the last, and the one before top's. */
static void empty_heaps_leave_the_list(void **state)
{
    static const int orders[][3] = {{0, 1, 2}, {1, 0, 2}, {1, 2, 0}, {2, 1, 0}};
    (void)state;
    for (size_t order = 0; order < count_of(orders); order++) {
        struct chunk *chunks[4][2];
        for (int i = 0; i < 3; i++) {
            fill_heap(32, chunks[i]);
        }
        chunks[3][0] = take(64);
        assert_int_equal(own.heap_count, 4);
        size_t system = own.system_bytes;
        for (int step = 0; step < 3; step++) {
            int i = orders[order][step];
            give(chunks[i][1]);
            give(chunks[i][0]);
            assert_true(own_is_sound());
            sweep(SWEEP_ALL);
            system -= HEAP_MAX_SIZE;
            assert_int_equal(own.heap_count, 3 - step);
            assert_true(own.system_bytes <= system);
            assert_true(own_is_sound());
        }
        give(chunks[3][0]);
        assert_true(own_is_empty());
        own_end(NULL);
        own_begin(NULL);
    }
}

/* What the kernel does not take back stays in use. */
static void a_heap_that_cannot_be_returned_serves_on(void **state)
{
    const struct faulty_plan no_unmap = {
        .kinds = FAULTY_MUNMAP, .first = 1, .how_many = FAULTY_FOR_EVER};
    struct chunk *chunks[2];
    (void)state;
    fill_heap(48, chunks);
    take(64);
    give(chunks[0]);
    faulty_use(&no_unmap);
    give(chunks[1]);
    assert_int_equal(faulty_calls_refused(), 1);
    sweep(SWEEP_OLD);
    sweep(SWEEP_OLD);
    assert_in_range(faulty_calls_refused(), 2, 3);
    faulty_use(NULL);
    assert_int_equal(own.heap_count, 2);
    assert_true(own_is_sound());
    struct chunk *again = take(70000);
    assert_ptr_equal(again, chunks[0]);
    assert_true(own_is_sound());
    give(again);
    sweep(SWEEP_OLD);
    assert_int_equal(own.heap_count, 2);
    sweep(SWEEP_OLD);
    assert_int_equal(own.heap_count, 1);
    assert_true(own_is_sound());
}

/* ---- blocks that wait for caches ---------------------------------------- */

enum {
    WAITING_SIZE = 3088,
    MOST_WAITING = 200,
};

/* As threads of other arenas send them, in parcels of 30. */
static void send_home(struct chunk *const *chunks, size_t count)
{
    struct parcel *parcel = NULL;
    for (size_t i = 0; i < count; i++) {
        if (parcel == NULL) {
            parcel = parcel_get();
            MUST(parcel != NULL);
        }
        chunk_flip_cached(chunks[i]);
        parcel_add(parcel, chunk2mem(chunks[i]), class_joined_by(WAITING_SIZE));
        if (parcel->count == 30 || i + 1 == count) {
            inbox_push(&own.inbox, parcel);
            parcel = NULL;
        }
    }
}

static void take_waiting(struct chunk **chunks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        chunks[i] = take(WAITING_SIZE);
        fill(chunks[i], 0xff);
    }
}

/* They are merged when the kernel has no more, whatever their number. */
static void what_waits_is_taken_back_in_need(void **state)
{
    static const size_t counts[] = {1, 63, 64, 65, 128, MOST_WAITING};
    const struct faulty_plan no_memory = {.kinds =
                                              FAULTY_MMAP | FAULTY_MPROTECT,
                                          .first = 1,
                                          .how_many = FAULTY_FOR_EVER};
    (void)state;
    for (size_t i = 0; i < count_of(counts); i++) {
        struct chunk *chunks[MOST_WAITING];
        take_waiting(chunks, counts[i]);
        take(chunk_size(own.top) - MIN_CHUNK_SIZE);
        send_home(chunks, counts[i]);
        assert_true(own_is_sound());
        faulty_use(&no_memory);
        assert_ptr_equal(take(counts[i] * WAITING_SIZE), chunks[0]);
        assert_null(take(WAITING_SIZE));
        faulty_use(NULL);
        assert_true(own_is_sound());
        assert_false(inbox_has_any(&own.inbox));
        own_end(NULL);
        own_begin(NULL);
    }
}

static void arrivals_are_sorted_into_the_depot(void **state)
{
    struct chunk *chunks[40];
    void *mems[MAGAZINE_MAX];
    unsigned size_class = class_joined_by(WAITING_SIZE);
    (void)state;
    take_waiting(chunks, 40);
    send_home(chunks, 40);
    MUST(lock_acquire(&own.lock));
    assert_int_equal(arena_arrivals(&own), 0);
    arena_sort_arrivals(&own, 1);
    assert_int_equal(arena_arrivals(&own), 1);
    arena_sort_arrivals(&own, 40);
    assert_int_equal(arena_arrivals(&own), 0);
    size_t got = arena_take(&own, size_class, mems, MAGAZINE_MAX);
    lock_release(&own.lock);
    assert_int_equal(got, 40);
    assert_null(own.zero_from);
    assert_true(own_is_sound());
    MUST(lock_acquire(&own.lock));
    arena_give(&own, size_class, mems, 40);
    assert_int_equal(own.depot.blocks, 40);
    assert_true(arena_free_depot(&own, 10));
    assert_int_equal(own.depot.blocks, 30);
    assert_true(arena_free_depot(&own, SIZE_MAX));
    assert_false(arena_free_depot(&own, SIZE_MAX));
    lock_release(&own.lock);
    assert_true(own_is_empty());
    assert_true(own_is_sound());
}

/* New blocks follow each other, and what is said of zeroes is true of the
 * first. */
static void new_blocks_come_cached(void **state)
{
    void *mems[8];
    (void)state;
    MUST(lock_acquire(&own.lock));
    assert_int_equal(arena_take(&own, class_serving(1024), mems, 8), 8);
    lock_release(&own.lock);
    for (int i = 0; i < 8; i++) {
        assert_true(chunk_is_cached(mem2chunk(mems[i])));
        assert_ptr_equal(mems[i], (char *)mems[0] + i * 1024);
    }
    assert_ptr_equal(own.zero_from, mems[0]);
    assert_true(own_is_sound());
}

enum {
    ROW = 6,
};

/* The next order of so many numbers, of all that there are; false behind the
 * last one. */
static bool next_order(unsigned *order, unsigned count)
{
    unsigned i = count - 1;
    while (i > 0 && order[i - 1] > order[i]) {
        i--;
    }
    if (i == 0) {
        return false;
    }
    unsigned j = count - 1;
    while (order[j] < order[i - 1]) {
        j--;
    }
    unsigned lower = order[i - 1];
    order[i - 1] = order[j];
    order[j] = lower;
    for (j = count - 1; i < j; i++, j--) {
        unsigned first = order[i];
        order[i] = order[j];
        order[j] = first;
    }
    return true;
}

/* Frees those of a row of chunks that the mask has, in this order, and the
 * others later. */
static void free_row(const unsigned *order, unsigned mask)
{
    void *row[ROW], *mems[ROW], *others[ROW];
    unsigned size_class = class_serving(1040);
    size_t count = 0, rest = 0;
    MUST(lock_acquire(&own.lock));
    MUST(arena_take(&own, size_class, row, ROW) == ROW);
    MUST((char *)row[ROW - 1] - (char *)row[0] == (ROW - 1) * 1040);
    for (unsigned i = 0; i < ROW; i++) {
        if ((mask >> order[i] & 1) != 0) {
            mems[count++] = row[order[i]];
        } else {
            others[rest++] = row[order[i]];
        }
    }
    arena_give(&own, size_class, mems, count);
    arena_free_depot(&own, SIZE_MAX);
    /* A second free of any of them is told. */
    for (size_t i = 0; i < count; i++) {
        MUST(chunk_is_free(mem2chunk(mems[i])) &&
             chunk_is_sealed(mem2chunk(mems[i])));
    }
    lock_release(&own.lock);
    MUST(own_is_sound());
    MUST(lock_acquire(&own.lock));
    arena_give(&own, size_class, others, rest);
    arena_free_depot(&own, SIZE_MAX);
    lock_release(&own.lock);
    MUST(own_is_empty() && own_is_sound());
}

static void neighbours_are_freed_in_any_order(void **state)
{
    unsigned order[ROW] = {0, 1, 2, 3, 4, 5};
    (void)state;
    do {
        free_row(order, (1 << ROW) - 1);
    } while (next_order(order, ROW));
    for (unsigned mask = 0; mask < 1 << ROW; mask++) {
        free_row((unsigned[]){0, 1, 2, 3, 4, 5}, mask);
        free_row((unsigned[]){5, 4, 3, 2, 1, 0}, mask);
    }
}

/* Each is a page to touch. */
static void few_large_ones_are_made_ahead(void **state)
{
    void *mems[8];
    (void)state;
    MUST(lock_acquire(&own.lock));
    assert_int_equal(arena_take(&own, class_serving(4096), mems, 8),
                     TAKE_NEW_BYTES / class_size(class_serving(4096)));
    assert_int_equal(arena_take(&own, class_serving(100000), mems, 8), 1);
    lock_release(&own.lock);
    assert_true(own_is_sound());
}

enum {
    BULK = 32 << 20,
    KEPT = 1000,
};

/* Live bytes have fallen, and what the depot may hold with them: it is made
 * smaller by the calls to come, none of which does all of it. */
static void a_depot_that_has_too_much_falls_by_and_by(void **state)
{
    static void *mems[KEPT];
    unsigned size_class = class_serving(512);
    (void)state;
    struct chunk *bulk = take(BULK);
    MUST(lock_acquire(&own.lock));
    for (size_t i = 0; i < KEPT; i++) {
        MUST(arena_take(&own, size_class, &mems[i], 1) == 1);
    }
    for (size_t i = 0; i < KEPT; i++) {
        arena_give(&own, size_class, &mems[i], 1);
    }
    assert_int_equal(own.depot.blocks, KEPT);
    _int_free(&own, bulk);
    size_t calls = 0, bytes;
    do {
        bytes = own.depot.bytes;
        MUST(arena_take(&own, size_class, &mems[0], 1) == 1);
        arena_give(&own, size_class, &mems[0], 1);
        MUST(bytes - own.depot.bytes <=
             (2 + DEPOT_STEP) * class_size(size_class));
        calls++;
    } while (own.depot.bytes < bytes);
    lock_release(&own.lock);
    assert_true(own.depot.bytes <= DEPOT_BYTES);
    assert_true(calls > 1);
    assert_true(own_is_sound());
}

/* ---- anything at all ---------------------------------------------------- */

enum {
    BLOCKS = 150,
    STEPS = 12000,
};

static struct {
    struct chunk *chunk;
    size_t filled;
} blocks[BLOCKS];

static size_t random_size(struct rng *rng)
{
    size_t most = (size_t)32 << rng_below(rng, 14);
    return request_to_chunk_size(rng_below(rng, most));
}

static void step_take(struct rng *rng, int i)
{
    size_t alignment = (size_t)32 << rng_below(rng, 9);
    bool is_aligned = rng_below(rng, 8) == 0;
    size_t size = random_size(rng);
    struct chunk *chunk =
        is_aligned ? take_aligned(alignment, size) : take(size);
    MUST(chunk != NULL && chunk_size(chunk) < size + MIN_CHUNK_SIZE);
    MUST(!is_aligned || (uintptr_t)chunk2mem(chunk) % alignment == 0);
    MUST(is_aligned || own.zero_from == NULL ||
         is_zero_behind(chunk, own.zero_from));
    fill(chunk, (unsigned char)(i + 1));
    blocks[i].chunk = chunk;
    blocks[i].filled = usable_size_of(chunk_size(chunk));
}

static void step_resize(struct rng *rng, int i)
{
    size_t size = random_size(rng);
    size_t before = chunk_size(blocks[i].chunk);
    bool done = resize(blocks[i].chunk, size);
    size_t now = chunk_size(blocks[i].chunk);
    MUST(done || (now == before && size > before));
    MUST(!done || (now >= size && now < size + MIN_CHUNK_SIZE));
    size_t kept = min_size(blocks[i].filled, usable_size_of(now));
    MUST(is_filled(blocks[i].chunk, kept, (unsigned char)(i + 1)));
    fill(blocks[i].chunk, (unsigned char)(i + 1));
    blocks[i].filled = usable_size_of(now);
}

static void step_give(int i)
{
    MUST(is_filled(blocks[i].chunk, blocks[i].filled, (unsigned char)(i + 1)));
    give(blocks[i].chunk);
    blocks[i].chunk = NULL;
}

static void random_steps_keep_blocks_and_arena_whole(void **state)
{
    struct rng rng = {5};
    (void)state;
    option_set(OPTION_TRIM_THRESHOLD, 100000);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)rng_below(&rng, BLOCKS);
        if (blocks[i].chunk == NULL) {
            step_take(&rng, i);
        } else if (rng_below(&rng, 3) == 0) {
            step_resize(&rng, i);
        } else {
            step_give(i);
        }
        if (step % 500 == 0) {
            trim(rng_below(&rng, 50000));
        }
        if (step % 10 == 0) {
            MUST(own_is_sound());
        }
    }
    for (int i = 0; i < BLOCKS; i++) {
        if (blocks[i].chunk != NULL) {
            step_give(i);
        }
    }
    option_set(OPTION_TRIM_THRESHOLD, DEFAULT_TRIM_THRESHOLD);
    sweep(SWEEP_ALL);
    assert_true(own_is_sound());
    assert_true(own_is_empty());
}

#define arena_test(name)                                                       \
    cmocka_unit_test_setup_teardown(name, own_begin, own_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        arena_test(chunks_follow_each_other),
        arena_test(a_fresh_heap_has_a_growth_step),
        arena_test(top_grows_in_steps_that_grow),
        arena_test(top_keeps_a_chunk),
        arena_test(what_the_kernel_refuses_is_not_had),
        arena_test(no_chunk_is_larger_than_a_heap),
        arena_test(a_free_chunk_is_split),
        arena_test(a_rest_that_is_no_chunk_stays_with_the_block),
        arena_test(neighbours_merge_in_every_order),
        arena_test(the_last_chunk_merges_into_top),
        arena_test(a_merged_chunk_is_remembered_as_free),
        arena_test(fresh_memory_is_known_to_be_zero),
        arena_test(used_memory_is_not),
        arena_test(top_becomes_fence_and_rest),
        arena_test(a_fence_is_no_block),
        arena_test(the_old_heap_serves_on),
        arena_test(empty_heaps_leave_the_list),
        arena_test(a_heap_that_cannot_be_returned_serves_on),
        arena_test(what_waits_is_taken_back_in_need),
        arena_test(arrivals_are_sorted_into_the_depot),
        arena_test(new_blocks_come_cached),
        arena_test(neighbours_are_freed_in_any_order),
        arena_test(few_large_ones_are_made_ahead),
        arena_test(a_depot_that_has_too_much_falls_by_and_by),
        arena_test(random_steps_keep_blocks_and_arena_whole),
    };
    return UNIT_RUN(tests);
}
