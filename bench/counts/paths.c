/*
 * paths - the program that count.c steps through.
 *
 * Each operation that is counted goes through marked_call(), whose two
 * breakpoints enclose the call and nothing else; all between is executed at
 * full speed, the warming up too. Without count, the first breakpoint ends it.
 *
 *   hot        one block of a size is freed and allocated again
 *   random     one of 1,000 blocks of 8..8000 bytes is replaced by another,
 *              first while there is one thread, then in a second one
 *   fresh      10,000 blocks of 64 bytes are allocated, of which none has been
 *              used before; those in the middle are counted
 *   miss       the same after all of them were freed: no cache holds so many
 *   overflow   freeing them: no cache has room for so many
 *   stream     one thread allocates batches of 32, another frees them; the two
 *              take turns, so that the figures can be repeated; the second
 *              one has allocated something before, or never did (pure)
 */
#include "../workloads/bench.h"
#include "../workloads/random.h"
#include "paths.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>

enum {
    HOT_ROUNDS = 64,
    HOT_WARMING = 1000,
    GROWING_ROUNDS = 4,
    WORKING_SET = 1000,
    RANDOM_ROUNDS = 2000,
    RANDOM_ROUNDS_QUICK = 500, /* of which a dozen are slow */
    RANDOM_WARMING = 20000,
    MASS = 10000,
    MASS_COUNTED = 2048, /* in the middle of those */
    BATCH = 32,
    STREAM_BATCHES = 64, /* 2,048 blocks */
    QUICK_SHARE = 32,    /* of what is counted */
};

/* 1 or QUICK_SHARE. */
static size_t share = 1;

static size_t share_of(size_t amount)
{
    return amount <= share ? 1 : amount / share;
}

/* The two breakpoints: path in rbx, then function(first, second). */
uintptr_t marked_call(enum path path, uintptr_t function, uintptr_t first,
                      uintptr_t second);
__asm__(".text\n"
        ".type marked_call, @function\n"
        "marked_call:\n"
        "    push %rbx\n"
        "    mov %edi, %ebx\n"
        "    mov %rsi, %rax\n"
        "    mov %rdx, %rdi\n"
        "    mov %rcx, %rsi\n"
        "    int3\n"
        "    call *%rax\n"
        "    int3\n"
        "    pop %rbx\n"
        "    ret\n"
        ".size marked_call, . - marked_call\n");

/* One instruction of each kind that the tracer must tell apart; `room` is 64
 * bytes. What is expected of it is in paths.h. */
void empty(void);
void known(void *room);
__asm__(".type empty, @function\n"
        "empty:\n"
        "    ret\n"
        ".size empty, . - empty\n"
        ".type known, @function\n"
        "known:\n"
        "    lock incq (%rdi)\n"     /* atomic by its prefix */
        "    xchg %rax, 8(%rdi)\n"   /* atomic without one */
        "    xchg %rcx, %rdx\n"      /* registers only */
        "    lea 16(%rdi), %rdi\n"   /* an address, no access */
        "    nopl (%rdi)\n"          /* the same */
        "    movups (%rdi), %xmm0\n" /* memory */
        "    mov $40, %ecx\n"
        "    xor %eax, %eax\n"
        "    rep stosb\n"         /* memory; one instruction, 40 steps */
        "    push %rdi\n"         /* memory */
        "    pop %rdi\n"          /* memory */
        "    cmpb $0, -1(%rdi)\n" /* memory */
        "    ret\n"
        ".size known, . - known\n");

static bool is_counted(enum path path)
{
    return path != NOT_COUNTED;
}

static void *allocate(enum path path, size_t size)
{
    uintptr_t block = is_counted(path)
                          ? marked_call(path, (uintptr_t)malloc, size, 0)
                          : (uintptr_t)malloc(size);
    return block_require((void *)block);
}

static void release(enum path path, void *block)
{
    if (is_counted(path)) {
        marked_call(path, (uintptr_t)free, (uintptr_t)block, 0);
    } else {
        free(block);
    }
}

static void count_calibration(void)
{
    char room[64] = "";
    marked_call(PATH_EMPTY, (uintptr_t)empty, 0, 0);
    marked_call(PATH_KNOWN, (uintptr_t)known, (uintptr_t)room, 0);
}

static void replace_hot(enum path take, enum path give, size_t size,
                        size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        void *block = allocate(take, size);
        block_touch(block, size, i);
        release(give, block);
    }
}

static void count_hot(enum path take, enum path give, size_t size)
{
    replace_hot(NOT_COUNTED, NOT_COUNTED, size, HOT_WARMING);
    replace_hot(take, give, size, share_of(HOT_ROUNDS));
}

/* The first of calloc is its count. */
static void count_calloc(void)
{
    for (size_t i = 0; i < HOT_WARMING + share_of(HOT_ROUNDS); i++) {
        uintptr_t block =
            i < HOT_WARMING
                ? (uintptr_t)calloc(1, 100)
                : marked_call(PATH_CALLOC_100, (uintptr_t)calloc, 1, 100);
        block_touch(block_require((void *)block), 100, i);
        free((void *)block);
    }
}

static void *resize(enum path path, void *block, size_t size)
{
    return block_require(
        (void *)marked_call(path, (uintptr_t)realloc, (uintptr_t)block, size));
}

/* All of the allocators here have room for 104 bytes in a block of 100. */
static void count_realloc(void)
{
    void *block = allocate(NOT_COUNTED, 100);
    for (size_t i = 0; i < share_of(HOT_ROUNDS); i++) {
        block = resize(PATH_REALLOC_IN_PLACE, block, i % 2 == 0 ? 104 : 100);
    }
    free(block);
    for (size_t i = 0; i < share_of(GROWING_ROUNDS); i++) {
        block = allocate(NOT_COUNTED, 100);
        for (size_t size = 116; size <= 1000; size += 16) {
            block = resize(PATH_REALLOC_GROWING, block, size);
        }
        free(block);
    }
}

static void replace_random(void **blocks, struct dice *dice, enum path take,
                           enum path give, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        void **slot = &blocks[dice_below(dice, WORKING_SET)];
        release(give, *slot);
        size_t size = dice_between(dice, 8, 8000);
        *slot = allocate(take, size);
        block_touch(*slot, size, i);
    }
}

static void count_random(enum path take, enum path give)
{
    void **blocks = bench_table(WORKING_SET * sizeof blocks[0]);
    struct dice dice = {1};
    for (size_t i = 0; i < WORKING_SET; i++) {
        blocks[i] = allocate(NOT_COUNTED, dice_between(&dice, 8, 8000));
    }
    replace_random(blocks, &dice, NOT_COUNTED, NOT_COUNTED, RANDOM_WARMING);
    replace_random(blocks, &dice, take, give,
                   share == 1 ? RANDOM_ROUNDS : RANDOM_ROUNDS_QUICK);
    for (size_t i = 0; i < WORKING_SET; i++) {
        free(blocks[i]);
    }
}

static void *count_random_in_thread(void *unused)
{
    count_random(PATH_MALLOC_RANDOM_THREADS, PATH_FREE_RANDOM_THREADS);
    return unused;
}

/* Consecutive ones are counted, as each refill of a cache serves the many
 * calls after it; in the middle, where the caches are long empty or full. */
static enum path path_of_many(size_t number, enum path path)
{
    size_t counted = share_of(MASS_COUNTED), first = (MASS - counted) / 2;
    return number - first < counted ? path : NOT_COUNTED;
}

static void fill_and_drain(void **blocks, enum path take, enum path give)
{
    for (size_t i = 0; i < MASS; i++) {
        blocks[i] = allocate(path_of_many(i, take), 64);
        block_touch(blocks[i], 64, i);
    }
    for (size_t i = 0; i < MASS; i++) {
        release(path_of_many(i, give), blocks[i]);
    }
}

static void count_mass(void)
{
    void **blocks = bench_table(MASS * sizeof blocks[0]);
    fill_and_drain(blocks, PATH_MALLOC_FRESH, NOT_COUNTED);
    fill_and_drain(blocks, PATH_MALLOC_MISS, PATH_FREE_OVERFLOW);
}

/* The half that frees runs in a second thread; each waits for the other. */
struct stream {
    sem_t filled, emptied;
    enum path take, give;
    size_t low, high;
    bool is_pure;
    void *blocks[BATCH];
};

static size_t all_batches(void)
{
    return STREAM_BATCHES + share_of(STREAM_BATCHES);
}

/* The first ones warm up. */
static enum path path_of_batch(size_t batch, enum path path)
{
    return batch < STREAM_BATCHES ? NOT_COUNTED : path;
}

static void *empty_batches(void *argument)
{
    struct stream *stream = argument;
    if (!stream->is_pure) {
        free(block_require(malloc(stream->low)));
    }
    for (size_t batch = 0; batch < all_batches(); batch++) {
        sem_wait(&stream->filled);
        for (size_t i = 0; i < BATCH; i++) {
            release(path_of_batch(batch, stream->give), stream->blocks[i]);
        }
        sem_post(&stream->emptied);
    }
    return NULL;
}

static void fill_batches(struct stream *stream)
{
    struct dice dice = {2};
    for (size_t batch = 0; batch < all_batches(); batch++) {
        for (size_t i = 0; i < BATCH; i++) {
            size_t size = dice_between(&dice, stream->low, stream->high);
            stream->blocks[i] =
                allocate(path_of_batch(batch, stream->take), size);
            block_touch(stream->blocks[i], size, i);
        }
        sem_post(&stream->filled);
        sem_wait(&stream->emptied);
    }
}

static void run_thread(void *(*work)(void *), void *argument,
                       void (*meanwhile)(struct stream *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, argument) != 0) {
        bench_fail("no thread");
    }
    if (meanwhile != NULL) {
        meanwhile(argument);
    }
    pthread_join(thread, NULL);
}

static void count_stream(struct stream stream)
{
    sem_init(&stream.filled, 0, 0);
    sem_init(&stream.emptied, 0, 0);
    run_thread(empty_batches, &stream, fill_batches);
}

static void count_streams(void)
{
    count_stream((struct stream){.take = PATH_MALLOC_STREAM_64,
                                 .give = PATH_FREE_STREAM_64,
                                 .low = 64,
                                 .high = 64});
    count_stream((struct stream){.take = PATH_MALLOC_STREAM_MIXED,
                                 .give = PATH_FREE_STREAM_MIXED,
                                 .low = 16,
                                 .high = 256});
    count_stream((struct stream){.take = PATH_MALLOC_STREAM_PURE,
                                 .give = PATH_FREE_STREAM_PURE,
                                 .low = 64,
                                 .high = 64,
                                 .is_pure = true});
}

/* The mass first, while the allocator has nothing of that size; what needs a
 * second thread last, as some allocators know when there is only one. */
int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "quick") == 0) {
        share = QUICK_SHARE;
    }
    count_calibration();
    count_mass();
    count_hot(PATH_MALLOC_16, PATH_FREE_16, 16);
    count_hot(PATH_MALLOC_100, PATH_FREE_100, 100);
    count_hot(PATH_MALLOC_1000, PATH_FREE_1000, 1000);
    count_hot(PATH_MALLOC_100000, PATH_FREE_100000, 100000);
    count_calloc();
    count_realloc();
    count_random(PATH_MALLOC_RANDOM, PATH_FREE_RANDOM);
    run_thread(count_random_in_thread, NULL, NULL);
    count_streams();
    return 0;
}
