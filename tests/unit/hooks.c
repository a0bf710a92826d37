/*
 * hooks.c - the page that the hooks lie in, which is closed but while they are
 * changed.
 *
 * The file is a part of this one, since it is a face, which unit tests do not
 * link; and so its page can be written to.
 */
#include "../../src/hooks.c"

#include "child.h"
#include "unit.h"

static void *some_malloc(size_t size, const void *caller)
{
    (void)size;
    (void)caller;
    return NULL;
}

static struct ptm_hooks set = {.malloc_hook = some_malloc};

static void write_to_the_copy(void *unused)
{
    (void)unused;
    *(volatile char *)(uintptr_t)hooks_page.installed = 1;
}

static void write_to_the_pointer(void *unused)
{
    (void)unused;
    __atomic_store_n(&hooks_page.installed, NULL, __ATOMIC_RELAXED);
}

/* Under a sanitizer it is not the signal that ends the child. */
static void must_fault(child_body *body)
{
    assert_int_not_equal(child_run(body, NULL).status, 0);
}

static void installed_hooks_cannot_be_written(void **state)
{
    (void)state;
    if (HOOKS_PAGE % os_page_size() != 0) {
        skip();
    }
    ptm_set_hooks(&set);
    must_fault(write_to_the_copy);
    must_fault(write_to_the_pointer);
    ptm_set_hooks(NULL);
    must_fault(write_to_the_pointer);
}

static void what_becomes_of_the_original_does_not_matter(void **state)
{
    (void)state;
    struct ptm_hooks original = set;
    ptm_set_hooks(&original);
    original.malloc_hook = NULL;
    assert_ptr_equal(hooks_get()->malloc_hook, some_malloc);
    ptm_set_hooks(NULL);
    assert_null(hooks_get());
}

static void a_copy_lasts_while_many_others_are_made(void **state)
{
    (void)state;
    struct ptm_hooks other = {.malloc_hook = NULL};
    ptm_set_hooks(&set);
    const struct ptm_hooks *first = hooks_get();
    for (size_t i = 1; i < HOOKS_COPIES; i++) {
        ptm_set_hooks(&other);
        assert_ptr_equal(first->malloc_hook, some_malloc);
        assert_null(hooks_get()->malloc_hook);
    }
    ptm_set_hooks(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(installed_hooks_cannot_be_written),
        cmocka_unit_test(what_becomes_of_the_original_does_not_matter),
        cmocka_unit_test(a_copy_lasts_while_many_others_are_made),
    };
    return UNIT_RUN(tests);
}
