/*
 * inbox.c - chains come in from any thread and go out all at once.
 */
#define _GNU_SOURCE
#include "inbox.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>

enum {
    PUSHERS = 4,
    CHUNKS = 20000,
};

static struct inbox inbox;
static _Alignas(16) struct chunk chunks[PUSHERS][CHUNKS];

static void a_chain_comes_out_as_it_went_in(void **state)
{
    struct chunk *first = &chunks[0][0];
    (void)state;
    assert_false(inbox_has_any(&inbox));
    assert_null(inbox_take(&inbox));
    chunk_set_next_sent(&first[0], &first[1]);
    chunk_set_next_sent(&first[1], &first[2]);
    assert_int_equal(inbox_push(&inbox, &first[0], &first[2], 96), 96);
    assert_true(inbox_has_any(&inbox));
    assert_int_equal(inbox_push(&inbox, &first[3], &first[3], 32), 128);
    static const int order[] = {3, 0, 1, 2};
    const struct chunk *chunk = inbox_take(&inbox);
    for (size_t i = 0; i < count_of(order); i++) {
        assert_ptr_equal(chunk, &first[order[i]]);
        chunk = chunk_next_sent(chunk);
    }
    assert_null(chunk);
    assert_false(inbox_has_any(&inbox));
    inbox_count_out(&inbox, 128);
    assert_int_equal(inbox_push(&inbox, first, first, 32), 32);
    assert_ptr_equal(inbox_take(&inbox), first);
    inbox_count_out(&inbox, 32);
    inbox_count_out(&inbox, 0);
    assert_int_equal(inbox.bytes, 0);
}

/* The chunk says by whom it is and which of his it is. */
static void sign(struct chunk *chunk, size_t pusher, size_t number)
{
    chunk->prev_size = pusher * CHUNKS + number;
}

/* Chains of one to four chunks, each of them newest first. */
static void *push_all(void *own)
{
    struct chunk *mine = own;
    size_t pusher = (size_t)(mine - chunks[0]) / CHUNKS;
    size_t next = 0;
    while (next < CHUNKS) {
        size_t length = min_size(1 + next % 4, CHUNKS - next);
        for (size_t i = 0; i < length; i++) {
            sign(&mine[next + i], pusher, next + i);
            chunk_set_next_sent(&mine[next + i], &mine[next + i] - 1);
        }
        inbox_push(&inbox, &mine[next + length - 1], &mine[next], length * 32);
        next += length;
    }
    return NULL;
}

/* In what is taken at once, each pusher's newest come first; and all of it is
 * newer than what was taken before. */
static size_t check_chain(const struct chunk *chain, size_t newest[PUSHERS])
{
    size_t count = 0;
    size_t last[PUSHERS], first[PUSHERS];
    for (size_t i = 0; i < PUSHERS; i++) {
        last[i] = SIZE_MAX;
        first[i] = newest[i];
    }
    for (; chain != NULL; chain = chunk_next_sent(chain)) {
        size_t pusher = chain->prev_size / CHUNKS;
        size_t number = chain->prev_size % CHUNKS;
        MUST(pusher < PUSHERS && number < last[pusher]);
        MUST(number >= newest[pusher]);
        first[pusher] = max_size(first[pusher], number + 1);
        last[pusher] = number;
        count++;
    }
    memcpy(newest, first, sizeof first);
    return count;
}

static void nothing_is_lost_and_nothing_comes_twice(void **state)
{
    pthread_t pushers[PUSHERS];
    size_t newest[PUSHERS] = {0};
    size_t count = 0;
    (void)state;
    for (int i = 0; i < PUSHERS; i++) {
        MUST(pthread_create(&pushers[i], NULL, push_all, chunks[i]) == 0);
    }
    while (count < PUSHERS * CHUNKS) {
        size_t got = check_chain(inbox_take(&inbox), newest);
        inbox_count_out(&inbox, got * 32);
        count += got;
        sched_yield();
    }
    for (int i = 0; i < PUSHERS; i++) {
        MUST(pthread_join(pushers[i], NULL) == 0);
    }
    assert_int_equal(count, PUSHERS * CHUNKS);
    assert_false(inbox_has_any(&inbox));
    assert_int_equal(inbox.bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_comes_out_as_it_went_in),
        cmocka_unit_test(nothing_is_lost_and_nothing_comes_twice),
    };
    return UNIT_RUN(tests);
}
