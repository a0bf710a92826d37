/*
 * The other names of the family: each is the very function that has the plain
 * name, and all of them are ptm's.
 */
#define _GNU_SOURCE
#include "api.h"

#include <dlfcn.h>

void *__libc_malloc(size_t size);
void __libc_free(void *memory);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void *__libc_valloc(size_t size);
void *__libc_pvalloc(size_t size);
void *__libc_reallocarray(void *memory, size_t count, size_t size);
void __libc_cfree(void *memory);
int __posix_memalign(void **result, size_t alignment, size_t size);
struct mallinfo __libc_mallinfo(void);
int __libc_mallopt(int parameter, int value);

static const char *const names[][2] = {
    {"malloc", "__libc_malloc"},     {"free", "__libc_free"},
    {"calloc", "__libc_calloc"},     {"realloc", "__libc_realloc"},
    {"memalign", "__libc_memalign"}, {"valloc", "__libc_valloc"},
    {"pvalloc", "__libc_pvalloc"},   {"reallocarray", "__libc_reallocarray"},
    {"cfree", "__libc_cfree"},       {"posix_memalign", "__posix_memalign"},
    {"mallinfo", "__libc_mallinfo"}, {"mallopt", "__libc_mallopt"},
};

static void both_names_are_one_function(void **state)
{
    (void)state;
    for (unsigned i = 0; i < count_of(names); i++) {
        void *plain = dlsym(RTLD_DEFAULT, names[i][0]);
        assert_non_null(plain);
        assert_ptr_equal(dlsym(RTLD_DEFAULT, names[i][1]), plain);
    }
}

static void all_names_are_of_one_library(void **state)
{
    (void)state;
    static const char *const others[] = {
        "aligned_alloc",      "malloc_usable_size", "free_sized",
        "free_aligned_sized", "malloc_stats",       "malloc_info",
        "malloc_trim",
    };
    Dl_info home, info;
    assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "ptm_check"), &home), 0);
    for (unsigned i = 0; i < count_of(names) + count_of(others); i++) {
        const char *name =
            i < count_of(names) ? names[i][0] : others[i - count_of(names)];
        assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, name), &info), 0);
        assert_ptr_equal(info.dli_fbase, home.dli_fbase);
    }
}

/* Who asks it for malloc by one name may ask ptm for free by another. */
static void the_handle_of_glibc_has_ours_by_both_names(void **state)
{
    (void)state;
    void *libc = dlopen("libc.so.6", RTLD_NOW);
    unsigned found[2] = {0, 0};
    if (libc == NULL) {
        skip();
    }
    for (unsigned i = 0; i < 2 * count_of(names); i++) {
        const char *name = names[i / 2][i % 2];
        void *function = dlsym(libc, name);
        if (function != NULL) {
            assert_ptr_equal(function, dlsym(RTLD_DEFAULT, name));
            found[i % 2]++;
        }
    }
    assert_true(found[0] >= 4 && found[1] >= 4);
    assert_int_equal(dlclose(libc), 0);
}

static void blocks_of_one_name_are_blocks_of_the_other(void **state)
{
    (void)state;
    void *block = __libc_malloc(100);
    fill(block, 100, 1);
    block = realloc(block, HEAP_BLOCK);
    assert_true(holds(block, 100, 1));
    block = __libc_realloc(block, 50);
    block = __libc_reallocarray(block, 10, 100);
    assert_true(holds(block, 50, 1));
    assert_true(malloc_usable_size(block) >= 1000);
    free(block);
    __libc_free(malloc(100));
    __libc_cfree(__libc_calloc(10, 10));
    block = __libc_memalign(256, 10);
    assert_true(is_aligned(block, 256));
    free(block);
    block = __libc_valloc(10);
    assert_true(is_aligned(block, page_size()));
    free(block);
    block = __libc_pvalloc(10);
    assert_true(malloc_usable_size(block) >= page_size());
    free(block);
    assert_int_equal(__posix_memalign(&block, 64, 10), 0);
    free(block);
    assert_int_equal(__libc_mallopt(M_CHECK_ACTION, 0), 1);
    assert_int_equal(__libc_mallinfo().uordblks, mallinfo().uordblks);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        api_test(both_names_are_one_function),
        api_test(all_names_are_of_one_library),
        api_test(blocks_of_one_name_are_blocks_of_the_other),
        api_test(the_handle_of_glibc_has_ours_by_both_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
