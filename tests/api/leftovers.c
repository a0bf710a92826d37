/*
 * leftovers.c - what malloc and free leave in registers may be stored anywhere.
 *
 * Where a value does not matter a compiler stores whatever register it likes.
 * So each register that a call may change is written, as the call has left it,
 * into the first words of the block that was just allocated; the block must
 * still be taken for one in use.
 */
#include "api.h"

enum { REGISTERS = 16, WORDS = 2, LARGEST = 2048, CROWD = 2000 };

/* A size that is in much use is served from runs, whose objects have no
 * headers: so many are live while a size is tried. */
static void *crowd[CROWD];

static void gather_crowd(size_t size)
{
    for (int i = 0; i < CROWD; i++) {
        crowd[i] = malloc(size);
        assert_non_null(crowd[i]);
    }
}

static void dismiss_crowd(void)
{
    for (int i = 0; i < CROWD; i++) {
        free(crowd[i]);
    }
}

struct leftovers {
    uintptr_t registers[REGISTERS];
    void *result;
};

#if defined __x86_64__

/* The stack pointer is kept in r12: the red zone of this function is below. */
static void call(void *function, uintptr_t argument, struct leftovers *left)
{
    register uintptr_t first __asm__("rdi") = argument;
    register struct leftovers *to __asm__("rbx") = left;
    __asm__ volatile("mov %%rsp, %%r12\n\t"
                     "sub $128, %%rsp\n\t"
                     "and $-16, %%rsp\n\t"
                     "call *%[function]\n\t"
                     "mov %%r12, %%rsp\n\t"
                     "mov %%rax, 0(%[to])\n\t"
                     "mov %%rcx, 8(%[to])\n\t"
                     "mov %%rdx, 16(%[to])\n\t"
                     "mov %%rsi, 24(%[to])\n\t"
                     "mov %%rdi, 32(%[to])\n\t"
                     "mov %%r8, 40(%[to])\n\t"
                     "mov %%r9, 48(%[to])\n\t"
                     "mov %%r10, 56(%[to])\n\t"
                     "mov %%r11, 64(%[to])\n\t"
                     : "+r"(first)
                     : [function] "r"(function), [to] "r"(to)
                     : "rax", "rcx", "rdx", "rsi", "r8", "r9", "r10", "r11",
                       "r12", "memory", "cc");
    left->result = (void *)left->registers[0];
}

#elif defined __aarch64__

static void call(void *function, uintptr_t argument, struct leftovers *left)
{
    register uintptr_t first __asm__("x0") = argument;
    register struct leftovers *to __asm__("x19") = left;
    register void *target __asm__("x20") = function;
    __asm__ volatile("blr %[target]\n\t"
                     "stp x0, x1, [%[to], 0]\n\t"
                     "stp x2, x3, [%[to], 16]\n\t"
                     "stp x4, x5, [%[to], 32]\n\t"
                     "stp x6, x7, [%[to], 48]\n\t"
                     "stp x8, x9, [%[to], 64]\n\t"
                     "stp x10, x11, [%[to], 80]\n\t"
                     "stp x12, x13, [%[to], 96]\n\t"
                     "stp x16, x17, [%[to], 112]\n\t"
                     : "+r"(first)
                     : [target] "r"(target), [to] "r"(to)
                     : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9",
                       "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17",
                       "x18", "x30", "memory", "cc");
    left->result = (void *)left->registers[0];
}

#endif

static void *address_of(void *(*function)(size_t))
{
    return (void *)(uintptr_t)function;
}

/* Every register in every word; free is the judge. */
static void malloc_leaves_nothing(void **state)
{
    (void)state;
    for (size_t size = 16; size <= LARGEST; size *= 2) {
        gather_crowd(size);
        for (int i = 0; i < 1000; i++) {
            struct leftovers left = {.result = NULL};
            call(address_of(malloc), size, &left);
            assert_non_null(left.result);
            uintptr_t *block = left.result;
            block[i % WORDS] = left.registers[i / WORDS % REGISTERS];
            free(block);
        }
        dismiss_crowd();
    }
}

/* The block that was freed is the next one of its size. */
static void free_leaves_nothing(void **state)
{
    (void)state;
    for (size_t size = 16; size <= LARGEST; size *= 2) {
        int same = 0;
        gather_crowd(size);
        for (int i = 0; i < 1000; i++) {
            struct leftovers left = {.result = NULL};
            void *freed = malloc(size);
            uintptr_t freed_address = (uintptr_t)freed;
            call((void *)(uintptr_t)free, freed_address, &left);
            uintptr_t *block = malloc(size);
            assert_non_null(block);
            same += (uintptr_t)block == freed_address;
            block[i % WORDS] = left.registers[i / WORDS % REGISTERS];
            free(block);
        }
        assert_true(same > 0 || size > RUN_OBJECT_MAX);
        dismiss_crowd();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(malloc_leaves_nothing, heap_is_sound),
        cmocka_unit_test_teardown(free_leaves_nothing, heap_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
