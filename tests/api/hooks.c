/*
 * ptm_set_hooks: an installed hook is called first, with what the program
 * asked for and the address it asked from, and its result is the result.
 */
#include "api.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* The functions that call the allocator lie in a section of their own, so
 * that a return address tells whether it lies in one of them. The empty asm
 * keeps each call from becoming a jump. */
#define CALLS_MALLOC __attribute__((noinline, section("calls_malloc"))) static
#define RETURN_RESULT(result)                                                  \
    do {                                                                       \
        __asm__ volatile("" : "+r"(result));                                   \
        return result;                                                         \
    } while (0)

extern const char __start_calls_malloc[], __stop_calls_malloc[];

static bool lies_in_a_calling_function(const void *caller)
{
    const char *address = caller;
    return address > __start_calls_malloc && address < __stop_calls_malloc;
}

CALLS_MALLOC void *call_malloc(size_t size)
{
    void *result = malloc(size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void *call_calloc(size_t count, size_t size)
{
    void *result = calloc(count, size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void *call_realloc(void *memory, size_t size)
{
    void *result = realloc(memory, size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void *call_reallocarray(void *memory, size_t count, size_t size)
{
    void *result = reallocarray(memory, count, size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void *call_memalign(size_t alignment, size_t size)
{
    void *result = memalign(alignment, size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void *call_aligned_alloc(size_t alignment, size_t size)
{
    void *result = aligned_alloc(alignment, size);
    RETURN_RESULT(result);
}

CALLS_MALLOC int call_posix_memalign(void **memory, size_t alignment,
                                     size_t size)
{
    int result = posix_memalign(memory, alignment, size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void *call_valloc(size_t size)
{
    void *result = valloc(size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void *call_pvalloc(size_t size)
{
    void *result = pvalloc(size);
    RETURN_RESULT(result);
}

CALLS_MALLOC void call_free(void *memory)
{
    free(memory);
    __asm__ volatile("");
}

CALLS_MALLOC void call_cfree(void *memory)
{
    cfree(memory);
    __asm__ volatile("");
}

CALLS_MALLOC void call_free_sized(void *memory, size_t size)
{
    free_sized(memory, size);
    __asm__ volatile("");
}

CALLS_MALLOC void call_free_aligned_sized(void *memory, size_t alignment,
                                          size_t size)
{
    free_aligned_sized(memory, alignment, size);
    __asm__ volatile("");
}

/* What the last hook was told, and what the hooks return. */
static struct {
    int calls;
    void *memory;
    size_t alignment;
    size_t size;
    const void *caller;
} seen;
static _Alignas(4096) unsigned char answer[4096];
static void *result_of_hooks = answer;

static void forget(void)
{
    memset(&seen, 0, sizeof seen);
    memset(answer, 0xee, sizeof answer);
}

static void *recording_malloc(size_t size, const void *caller)
{
    seen.calls++;
    seen.size = size;
    seen.caller = caller;
    return result_of_hooks;
}

static void recording_free(void *memory, const void *caller)
{
    seen.calls++;
    seen.memory = memory;
    seen.caller = caller;
}

static void *recording_realloc(void *memory, size_t size, const void *caller)
{
    seen.memory = memory;
    return recording_malloc(size, caller);
}

static void *recording_memalign(size_t alignment, size_t size,
                                const void *caller)
{
    seen.alignment = alignment;
    return recording_malloc(size, caller);
}

static const struct ptm_hooks recording_hooks = {
    .malloc_hook = recording_malloc,
    .free_hook = recording_free,
    .realloc_hook = recording_realloc,
    .memalign_hook = recording_memalign,
};

/* cmocka's own calls must not be recorded: hooks are installed around the one
 * call under test, and the expectations are stated after it. */
#define HOOKED(hooks, call)                                                    \
    do {                                                                       \
        forget();                                                              \
        ptm_set_hooks(hooks);                                                  \
        call;                                                                  \
        ptm_set_hooks(NULL);                                                   \
    } while (0)

#define RECORDED(call) HOOKED(&recording_hooks, call)

static void assert_seen(void *memory, size_t alignment, size_t size)
{
    assert_int_equal(seen.calls, 1);
    assert_ptr_equal(seen.memory, memory);
    assert_int_equal(seen.alignment, alignment);
    assert_int_equal(seen.size, size);
    assert_true(lies_in_a_calling_function(seen.caller));
}

static void malloc_is_told_size_and_caller(void **state)
{
    (void)state;
    void *block = NULL;
    RECORDED(block = call_malloc(123));
    assert_seen(NULL, 0, 123);
    assert_ptr_equal(block, answer);
    assert_true(all_bytes_are(answer, sizeof answer, 0xee));
    RECORDED(block = call_malloc(0));
    assert_seen(NULL, 0, 0);
    RECORDED(block = call_malloc(MAPPED_BLOCK));
    assert_seen(NULL, 0, MAPPED_BLOCK);
}

static void calloc_goes_to_the_malloc_hook_and_is_cleared(void **state)
{
    (void)state;
    void *block = NULL;
    RECORDED(block = call_calloc(10, 30));
    assert_seen(NULL, 0, 300);
    assert_ptr_equal(block, answer);
    assert_true(all_bytes_are(answer, 300, 0));
    assert_true(all_bytes_are(answer + 300, sizeof answer - 300, 0xee));
}

static void an_overflowing_product_reaches_no_hook(void **state)
{
    (void)state;
    void *block = answer;
    int error = 0;
    RECORDED((errno = 0, block = call_calloc(SIZE_MAX, 16), error = errno));
    assert_null(block);
    assert_int_equal(error, ENOMEM);
    assert_int_equal(seen.calls, 0);
    RECORDED((errno = 0, block = call_reallocarray(NULL, SIZE_MAX, 16),
              error = errno));
    assert_null(block);
    assert_int_equal(error, ENOMEM);
    assert_int_equal(seen.calls, 0);
}

static void every_way_to_free_goes_to_the_free_hook(void **state)
{
    (void)state;
    RECORDED(call_free(answer));
    assert_seen(answer, 0, 0);
    RECORDED(call_cfree(answer));
    assert_seen(answer, 0, 0);
    RECORDED(call_free_sized(answer, 100));
    assert_seen(answer, 0, 0);
    RECORDED(call_free_aligned_sized(answer, 64, 100));
    assert_seen(answer, 0, 0);
}

static void realloc_and_reallocarray_go_to_the_realloc_hook(void **state)
{
    (void)state;
    void *block = NULL;
    void *old = answer + 64;
    RECORDED(block = call_realloc(old, 321));
    assert_seen(old, 0, 321);
    assert_ptr_equal(block, answer);
    RECORDED(block = call_realloc(NULL, 321));
    assert_seen(NULL, 0, 321);
    RECORDED(block = call_reallocarray(old, 7, 11));
    assert_seen(old, 0, 77);
    assert_ptr_equal(block, answer);
}

static void the_aligned_ones_go_to_the_memalign_hook(void **state)
{
    (void)state;
    void *block = NULL;
    size_t page = page_size();
    RECORDED(block = call_memalign(64, 100));
    assert_seen(NULL, 64, 100);
    assert_ptr_equal(block, answer);
    RECORDED(block = call_memalign(48, 100));
    assert_seen(NULL, 64, 100);
    RECORDED(block = call_aligned_alloc(256, 100));
    assert_seen(NULL, 256, 100);
    assert_ptr_equal(block, answer);
    RECORDED(block = call_valloc(100));
    assert_seen(NULL, page, 100);
    assert_ptr_equal(block, answer);
    RECORDED(block = call_pvalloc(100));
    assert_seen(NULL, page, page);
    assert_ptr_equal(block, answer);
    int error = -1;
    block = NULL;
    RECORDED(error = call_posix_memalign(&block, 128, 100));
    assert_seen(NULL, 128, 100);
    assert_int_equal(error, 0);
    assert_ptr_equal(block, answer);
}

static void a_hook_is_told_alignments_of_16_at_least(void **state)
{
    (void)state;
    void *block = NULL;
    int error = -1;
    RECORDED(error = call_posix_memalign(&block, 8, 100));
    assert_seen(NULL, 16, 100);
    assert_int_equal(error, 0);
    RECORDED(block = call_aligned_alloc(1, 100));
    assert_seen(NULL, 16, 100);
    RECORDED(block = call_memalign(0, 100));
    assert_seen(NULL, 16, 100);
}

static void an_alignment_that_is_none_reaches_no_hook(void **state)
{
    (void)state;
    void *block = answer;
    int error = 0;
    RECORDED((errno = 0, block = call_aligned_alloc(24, 100), error = errno));
    assert_null(block);
    assert_int_equal(error, EINVAL);
    assert_int_equal(seen.calls, 0);
    block = answer + 1;
    RECORDED(error = call_posix_memalign(&block, 24, 100));
    assert_int_equal(error, EINVAL);
    assert_ptr_equal(block, answer + 1);
    assert_int_equal(seen.calls, 0);
}

static void a_hook_that_returns_null_is_out_of_memory(void **state)
{
    (void)state;
    void *block = answer;
    int error = 0;
    result_of_hooks = NULL;
    RECORDED((errno = 0, block = call_malloc(1), error = errno));
    assert_null(block);
    assert_int_equal(error, ENOMEM);
    RECORDED((errno = 0, block = call_calloc(1, 1), error = errno));
    assert_null(block);
    assert_int_equal(error, ENOMEM);
    RECORDED((errno = 0, block = call_realloc(answer, 1), error = errno));
    assert_null(block);
    assert_int_equal(error, ENOMEM);
    RECORDED((errno = 0, block = call_memalign(64, 1), error = errno));
    assert_null(block);
    assert_int_equal(error, ENOMEM);
    block = answer + 1;
    RECORDED(error = call_posix_memalign(&block, 64, 1));
    assert_int_equal(error, ENOMEM);
    assert_ptr_equal(block, answer + 1);
    result_of_hooks = answer;
}

static void a_member_that_is_null_leaves_its_call_alone(void **state)
{
    (void)state;
    static const struct ptm_hooks none;
    static const struct ptm_hooks only_free = {.free_hook = recording_free};
    void *block = NULL, *zeroed = NULL, *aligned = NULL;
    size_t usable = 0;
    HOOKED(&none,
           (block = call_malloc(100), usable = malloc_usable_size(block),
            zeroed = call_calloc(10, 10), block = call_realloc(block, 50),
            aligned = call_memalign(256, 10), call_free(zeroed)));
    assert_true(usable >= 100);
    assert_true(is_aligned(aligned, 256));
    HOOKED(&only_free, (zeroed = call_malloc(100), call_free(block)));
    assert_seen(block, 0, 0);
    assert_non_null(zeroed);
    /* The hook did not free it; so it is still there. */
    assert_true(malloc_usable_size(block) >= 50);
    free(block);
    free(zeroed);
    free(aligned);
}

/* Hooks that do what a tracing program does: pass the call on. */
static void *passing_malloc(size_t size, const void *caller)
{
    recording_malloc(size, caller);
    free(malloc(10));
    return calloc(1, size + 1);
}

static void passing_free(void *memory, const void *caller)
{
    recording_free(memory, caller);
    free(malloc(10));
    free(memory);
}

static void *passing_realloc(void *memory, size_t size, const void *caller)
{
    recording_realloc(memory, size, caller);
    return realloc(memory, size);
}

static void *passing_memalign(size_t alignment, size_t size, const void *caller)
{
    recording_memalign(alignment, size, caller);
    free(valloc(10));
    return memalign(alignment, size);
}

static void a_hook_may_call_the_allocator(void **state)
{
    (void)state;
    static const struct ptm_hooks passing = {
        .malloc_hook = passing_malloc,
        .free_hook = passing_free,
        .realloc_hook = passing_realloc,
        .memalign_hook = passing_memalign,
    };
    void *block = NULL;
    HOOKED(&passing, block = call_malloc(100));
    assert_seen(NULL, 0, 100);
    assert_true(malloc_usable_size(block) >= 101);
    void *old = block;
    HOOKED(&passing, block = call_realloc(old, 200));
    assert_seen(old, 0, 200);
    assert_true(malloc_usable_size(block) >= 200);
    HOOKED(&passing, call_free(block));
    assert_seen(block, 0, 0);
    HOOKED(&passing, block = call_memalign(512, 100));
    assert_seen(NULL, 512, 100);
    assert_true(is_aligned(block, 512));
    /* And the next call is hooked again. */
    HOOKED(&passing, call_free(block));
    assert_seen(block, 0, 0);
}

/* While one thread is in a hook, the calls of another go to theirs. */
static int calls_of_other_thread;

static void *allocate_in_other_thread(void *unused)
{
    (void)unused;
    return call_malloc(77);
}

static void *counting_malloc(size_t size, const void *caller)
{
    (void)caller;
    pthread_t other;
    void *result = NULL;
    if (size == 77) {
        calls_of_other_thread++;
    } else if (size == 76 &&
               pthread_create(&other, NULL, allocate_in_other_thread, NULL) ==
                   0) {
        pthread_join(other, &result);
    }
    return answer;
}

static void another_thread_is_hooked_meanwhile(void **state)
{
    (void)state;
    static const struct ptm_hooks counting = {.malloc_hook = counting_malloc};
    void *block = NULL;
    HOOKED(&counting, block = call_malloc(76));
    assert_ptr_equal(block, answer);
    assert_int_equal(calls_of_other_thread, 1);
}

static void without_hooks_the_allocator_serves(void **state)
{
    (void)state;
    void *block = NULL;
    RECORDED(block = call_malloc(100));
    assert_ptr_equal(block, answer);
    forget();
    block = call_malloc(100);
    void *resized = call_realloc(block, 200);
    void *aligned = call_memalign(64, 100);
    assert_true(malloc_usable_size(resized) >= 200);
    call_free(resized);
    call_free(aligned);
    assert_int_equal(seen.calls, 0);
}

static void *set_and_take_away(void *unused)
{
    static const struct ptm_hooks hooks = {.malloc_hook = passing_malloc};
    for (int i = 0; i < 3000; i++) {
        ptm_set_hooks(&hooks);
        ptm_set_hooks(NULL);
    }
    return unused;
}

/* What threads of a child wait for was not left behind by the fork. */
static void hooks_are_set_by_threads_of_a_child(void **state)
{
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        pthread_t threads[3];
        alarm(120);
        for (int i = 0; i < 3; i++) {
            if (pthread_create(&threads[i], NULL, set_and_take_away, NULL)) {
                _exit(2);
            }
        }
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
        }
        _exit(0);
    }
    int status = 1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(malloc_is_told_size_and_caller),
        api_test(calloc_goes_to_the_malloc_hook_and_is_cleared),
        api_test(an_overflowing_product_reaches_no_hook),
        api_test(every_way_to_free_goes_to_the_free_hook),
        api_test(realloc_and_reallocarray_go_to_the_realloc_hook),
        api_test(the_aligned_ones_go_to_the_memalign_hook),
        api_test(a_hook_is_told_alignments_of_16_at_least),
        api_test(an_alignment_that_is_none_reaches_no_hook),
        api_test(a_hook_that_returns_null_is_out_of_memory),
        api_test(a_member_that_is_null_leaves_its_call_alone),
        api_test(a_hook_may_call_the_allocator),
        api_test(another_thread_is_hooked_meanwhile),
        api_test(without_hooks_the_allocator_serves),
        api_test(hooks_are_set_by_threads_of_a_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
