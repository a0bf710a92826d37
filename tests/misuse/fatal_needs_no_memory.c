/*
 * The end of the program allocates nothing: no hook is called, and a kernel
 * that refuses all memory does not matter.
 *
 * expect: ptm: free(): double free: address ADDR, size 24, arena 1
 * expect hardened: ptm: free(): double free: address ADDR, size 40, arena 1
 */
#include "crime.h"

#include <signal.h>
#include "faulty_syscall.h"
#include "ptm.h"

static void *tell_of_malloc(size_t size, const void *caller)
{
    (void)size;
    (void)caller;
    complain("malloc was called\n");
    return NULL;
}

static void tell_of_system_calls(int signal_number)
{
    (void)signal_number;
    if (faulty_calls_counted() != 0) {
        complain("the kernel was asked for memory\n");
    }
}

int main(void)
{
    static const struct faulty_plan no_memory = {
        .kinds = FAULTY_ALL, .first = 1, .how_many = FAULTY_FOR_EVER};
    static const struct ptm_hooks hooks = {.malloc_hook = tell_of_malloc};
    void *block = malloc(24);
    use(malloc(24));
    free(block);
    suspect(block);
    signal(SIGABRT, tell_of_system_calls);
    ptm_set_hooks(&hooks);
    faulty_use(&no_memory);
    free(block);
    return 0;
}
