/*
 * seal.c - the keys come once, from the kernel, and the seal depends on all
 * that it covers.
 */
#include "seal.h"

#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/wait.h>

#include "child.h"
#include "os.h"
#include "rng.h"

enum {
    THREADS = 4,
    SAMPLES = 2000,
};

static void keys_are_made_once(void **state)
{
    (void)state;
    seal_prepare();
    struct secret_keys first = seal_keys;
    assert_true(first.address != 0 && first.word != 0 && first.object != 0);
    /* The three states of a chunk can be told apart. */
    assert_true(first.cached != 0 && first.freed != 0);
    assert_true(first.cached != first.freed);
    seal_prepare();
    assert_memory_equal(&seal_keys, &first, sizeof first);
}

static void compare_keys(void *parents)
{
    seal_prepare();
    MUST(memcmp(&seal_keys, parents, sizeof seal_keys) == 0);
}

/* It has its parent's blocks. */
static void a_child_of_fork_has_the_same_keys(void **state)
{
    struct secret_keys keys = seal_keys;
    (void)state;
    child_must_succeed(compare_keys, &keys);
}

static void overwrite_keys(void *unused)
{
    (void)unused;
    *(volatile uint64_t *)&seal_keys.word = 1;
}

static void nobody_can_write_them(void **state)
{
    (void)state;
    seal_prepare();
    struct ending ending = child_run(overwrite_keys, NULL);
    assert_true(WIFSIGNALED(ending.status));
    assert_int_equal(WTERMSIG(ending.status), SIGSEGV);
}

static void drawing_keys_leaves_errno_alone(void *unused)
{
    (void)unused;
    errno = 1234;
    seal_prepare();
    MUST(errno == 1234);
}

/* They are not made of what the C library makes its own secrets of. */
static void they_do_not_come_from_the_start_of_the_process(void **state)
{
    uint64_t drawn[2], again[2];
    (void)state;
    os_random_bytes(drawn);
    os_random_bytes(again);
    assert_memory_not_equal(drawn, again, sizeof drawn);
    assert_memory_not_equal(drawn, (void *)getauxval(AT_RANDOM), sizeof drawn);
}

/* Any other bit of address or word makes another seal, and one that differs in
 * many bits: 16 of 32 were it chosen by lot. */
static void every_bit_counts(void **state)
{
    struct rng rng = {8};
    (void)state;
    for (unsigned bit = 0; bit < 47 + 32; bit++) {
        uint64_t changed = 0;
        for (int i = 0; i < SAMPLES; i++) {
            uintptr_t address = rng_next(&rng) >> 17;
            uint32_t word = (uint32_t)rng_next(&rng);
            uint32_t seal = seal_of((void *)address, word);
            if (bit < 47) {
                address ^= (uintptr_t)1 << bit;
            } else {
                word ^= 1u << (bit - 47);
            }
            uint32_t other = seal_of((void *)address, word);
            assert_true(seal != other);
            changed += (unsigned)__builtin_popcount(seal ^ other);
        }
        assert_in_range(changed, SAMPLES * 8, SAMPLES * 24);
    }
}

/* ---- threads that come at once ------------------------------------------ */

static pthread_barrier_t barrier;

/* Others may still be storing them: the same ones. */
static struct secret_keys load_keys(void)
{
    return (struct secret_keys){
        .address = __atomic_load_n(&seal_keys.address, __ATOMIC_RELAXED),
        .word = __atomic_load_n(&seal_keys.word, __ATOMIC_RELAXED),
        .cached = __atomic_load_n(&seal_keys.cached, __ATOMIC_RELAXED),
        .freed = __atomic_load_n(&seal_keys.freed, __ATOMIC_RELAXED),
        .object = __atomic_load_n(&seal_keys.object, __ATOMIC_RELAXED),
        .link = __atomic_load_n(&seal_keys.link, __ATOMIC_RELAXED),
    };
}

static void *prepare(void *keys)
{
    pthread_barrier_wait(&barrier);
    seal_prepare();
    *(struct secret_keys *)keys = load_keys();
    return NULL;
}

static void prepare_at_once(void *unused)
{
    struct secret_keys keys[THREADS];
    pthread_t threads[THREADS];
    (void)unused;
    MUST(seal_keys.address == 0);
    MUST(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_create(&threads[i], NULL, prepare, &keys[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        MUST(pthread_join(threads[i], NULL) == 0);
        MUST(memcmp(&keys[i], &keys[0], sizeof keys[0]) == 0);
    }
    MUST(memcmp(&keys[0], &seal_keys, sizeof keys[0]) == 0);
}

static void threads_that_come_at_once_agree(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        child_must_succeed(prepare_at_once, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_come_at_once_agree),
        unit_test_in_child(drawing_keys_leaves_errno_alone),
        cmocka_unit_test(keys_are_made_once),
        cmocka_unit_test(a_child_of_fork_has_the_same_keys),
        cmocka_unit_test(nobody_can_write_them),
        cmocka_unit_test(they_do_not_come_from_the_start_of_the_process),
        cmocka_unit_test(every_bit_counts),
    };
    return UNIT_RUN(tests);
}
