/*
 * No function of the family is a cancellation point: a thread whose
 * cancellation is pending passes through all of them, large blocks, the
 * lines of malloc_stats and all.
 */
#include "api.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

static atomic_int calls_survived;

static void call_all(void)
{
    void *small = malloc(100);
    void *large = malloc(MAPPED_BLOCK);
    void *zeroed = calloc(10, HEAP_BLOCK / 10);
    void *aligned = memalign(1 << 20, MAPPED_BLOCK);
    calls_survived++;
    small = realloc(small, HEAP_BLOCK);
    large = realloc(large, 2 * MAPPED_BLOCK);
    calls_survived++;
    free(small);
    free(large);
    free(zeroed);
    free(aligned);
    calls_survived++;
    malloc_trim(0);
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
    mallinfo2();
    calls_survived++;
    malloc_stats();
    calls_survived++;
}

static void *call_all_while_cancelled(void *unused)
{
    pthread_cancel(pthread_self());
    call_all();
    pthread_testcancel();
    return unused;
}

static void a_pending_cancellation_stays_pending(void **state)
{
    (void)state;
    /* The lines of malloc_stats are not of interest here. */
    int kept = dup(2);
    int sink = open("/dev/null", O_WRONLY);
    dup2(sink, 2);
    pthread_t thread;
    void *result = NULL;
    int error = pthread_create(&thread, NULL, call_all_while_cancelled, NULL);
    if (error == 0) {
        error = pthread_join(thread, &result);
    }
    dup2(kept, 2);
    close(kept);
    close(sink);
    assert_int_equal(error, 0);
    assert_int_equal(calls_survived, 5);
    assert_ptr_equal(result, PTHREAD_CANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(a_pending_cancellation_stays_pending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
