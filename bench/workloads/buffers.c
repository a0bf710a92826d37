/*
 * buffers - growing by realloc.
 *
 * Strings, vectors, readers that do not know how much will come. Where the
 * neighbour is free a block can grow in place; where pages can be moved, a
 * large one need not be copied; and what a grown buffer left behind must be
 * of use to someone.
 *
 *   doubling  32 vectors from 16 bytes to 64 KiB, grown in turns
 *   append    32 strings that realloc to the exact length for each piece of 1
 *             to 200 bytes, up to 16 KiB; most of these calls could stay put
 *   shrink    buffers allocated for the worst case and cut to what was read
 *   vector    one array that grows by half from 1 KiB to 64 MiB
 */
#include "bench.h"
#include "random.h"

enum { STREAMS = 32 };

/* Grows a block from one size to another and fills only what is new. */
static void *block_grow(void *block, size_t from, size_t to)
{
    char *bytes = block_require(realloc(block, to));
    if (to > from) {
        memset(bytes + from, (int)(to & 0xff),
               to - from < 256 ? to - from : 256);
    }
    return bytes;
}

struct stream {
    char *bytes;
    size_t size;
};

/* The first byte is the first size's for as long as the block lives. */
static void stream_drop(struct stream *stream)
{
    bench_digest((unsigned char)stream->bytes[0] + stream->size);
    free(stream->bytes);
    stream->bytes = NULL;
    stream->size = 0;
}

static void grow_in_turns(const struct workload *workload, uint64_t amount)
{
    struct stream streams[STREAMS] = {{NULL, 0}};
    struct dice dice = {workload->high};
    bench_begin();
    for (uint64_t i = 0; i < amount; i++) {
        struct stream *stream = &streams[dice_below(&dice, STREAMS)];
        size_t step = workload->count != 0
                          ? dice_between(&dice, 1, workload->count)
                          : stream->size;
        size_t size = stream->size == 0 ? workload->low : stream->size + step;
        stream->bytes = block_grow(stream->bytes, stream->size, size);
        stream->size = size;
        if (size >= workload->high) {
            stream_drop(stream);
        }
    }
    for (size_t i = 0; i < STREAMS; i++) {
        free(streams[i].bytes);
    }
    bench_end(amount);
}

static void shrink_to_fit(const struct workload *workload, uint64_t amount)
{
    void **blocks = bench_table(workload->count * sizeof blocks[0]);
    struct dice dice = {workload->count};
    bench_begin();
    for (uint64_t i = 0; i < amount; i++) {
        void **slot = &blocks[dice_below(&dice, workload->count)];
        free(*slot);
        void *whole = block_new(workload->high, i);
        size_t used = dice_between(&dice, workload->low, workload->high / 4);
        *slot = block_require(realloc(whole, used));
        bench_digest(block_stamp(*slot));
    }
    for (size_t i = 0; i < workload->count; i++) {
        free(blocks[i]);
    }
    bench_end(amount);
}

/* A page of each new part is touched; the vector moves, its pages need not. */
static void grow_a_vector(const struct workload *workload, uint64_t amount)
{
    bench_begin();
    for (uint64_t i = 0; i < amount; i++) {
        char *vector = NULL;
        size_t size = 0;
        for (size_t next = workload->low; next <= workload->high;
             next += next / 2) {
            vector = block_require(realloc(vector, next));
            for (size_t at = size; at < next; at += 4096) {
                vector[at] = (char)i;
            }
            size = next;
        }
        bench_digest((unsigned char)vector[0] + size);
        free(vector);
    }
    bench_end(amount);
}

static const struct workload workloads[] = {
    {"doubling", CPU_TIME, 600000, 40000, grow_in_turns, 16, 65536, 0, 0},
    {"append", CPU_TIME, 2000000, 150000, grow_in_turns, 8, 16384, 200, 0},
    {"shrink", CPU_TIME, 1000000, 80000, shrink_to_fit, 16, 16384, 1000, 0},
    {"vector", CPU_TIME, 10, 1, grow_a_vector, 1024, 64 << 20, 0, 0},
};

int main(int argc, char **argv)
{
    return bench_main(workloads, ARRAY_LENGTH(workloads), argc, argv);
}
